"""Meta-models, one module each; all share the interface in `base`."""
