"""Randomised cadences: noise, backgrounds, signals, storage, far wider than one telescope's.

`draws` holds short draws. `noise` draws families of noise, `background` the power that it rests on, `interference`
pulses and dropouts. `tracks` and `timing` draw a signal's frequency and brightness, `lines` its form and pixels,
`signals` the needles and decoys of a cadence. `storage` turns power into the numbers of a file.
"""
