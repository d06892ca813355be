"""Training of one fold, from its configuration to its result; the learning-rate range test."""
