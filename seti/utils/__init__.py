"""The machine: files, locks, processes, signals, memory, the terminal, devices, safe loading."""
