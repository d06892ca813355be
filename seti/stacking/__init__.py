"""The blend of several experiments by a meta-model."""
