"""Prediction of a data set by an ensemble of trained networks."""
