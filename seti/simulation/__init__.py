"""Simulated cadences: signals, background emission, spectra, whole data sets."""
