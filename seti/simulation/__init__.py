"""Simulated cadences: signals, background emission and spectra."""
