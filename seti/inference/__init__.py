"""Ensembles of networks over a data set."""
