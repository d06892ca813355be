"""Stacking: a meta-model blends the predictions of several experiments."""
