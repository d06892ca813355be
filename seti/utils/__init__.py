"""The machine: files, locks, processes, signals, memory, terminal, devices and safe loading.

`files` writes whole files, `locks` keeps two runs apart, `processes`, `threads` and `shards` divide work, `shutdown`
handles signals, `malloc` keeps freed memory, `console` draws tables and progress bars, `notices` says a line once a
run, `hints` spells commands for messages and `wording` counts things in them, `checksums` and `safe_load` guard what is
read, `device` chooses device and precision (`precision_names` has the latter's names), `launchers` and `ranks` know the
processes that train one fold together, `ray_cluster` and `ray_pool` those of Ray.
"""
