"""Prediction of a data set by an ensemble of trained networks.

`predict` serves the command, `ensemble` runs networks over batches, `batch_norm` folds batch normalisation into
convolutions.
"""
