"""The frame of every command: exit codes, one-line errors, sweeps and their report.

`program` runs a command under Hydra, `explain` makes one line of an error, `sweep_report` ends a sweep.
"""
