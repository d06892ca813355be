"""Prediction of a data set by an ensemble of trained networks.

`predict` serves the command for experiments, after `predict_checks`, and `folder_scores` for any folder of cadences;
both write `tables`, `shards` and `pool` (actors of Ray) let several machines share the work. `scoring` is the
library's entry, `export` writes networks for other programs. `ensemble` runs networks over batches, `batch_norm` folds
batch normalisation into convolutions.
"""
