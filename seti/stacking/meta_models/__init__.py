"""Meta-models: one class each, with the interface in `base`."""
