"""Stacking: a meta-model blends the predictions of several experiments.

`stack` serves the command, `out_of_fold` joins tables and runs the nested cross-validation, `meta_models/` holds the
meta-models, `report` prints and records the scores.
"""
