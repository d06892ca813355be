"""The frame of every command: exit codes, one-line errors, sweeps and their report."""
