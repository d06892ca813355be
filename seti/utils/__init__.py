"""The machine: files, locks, processes, signals, memory, terminal, devices and safe loading."""
