"""Simulated cadences: signals, background emission and spectra.

`settings` and `validation` hold what may be asked for, `plan` draws what each cadence contains, `signals`, `emission`
and `spectra` make it, `dataset` writes a data set.
"""
