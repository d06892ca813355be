"""The frame of every command: exit codes, one-line errors, sweeps and their report.

`program` runs a command under Hydra, `explain` makes one line of an error and `messages` prints it, `job_folder` keeps
Hydra's folders in order, `journal` records the jobs of a sweep, `sweep_report` ends it. `launchers` with
`slurm_jobs`, `ray_jobs` and `remote_job` run jobs elsewhere, `watch` ends those whose sweep has ended.
"""
