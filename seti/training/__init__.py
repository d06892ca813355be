"""One fold, from its configuration to its result; and the learning-rate range test."""
