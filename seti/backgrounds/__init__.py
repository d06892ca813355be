"""Backgrounds that repeat: cadences whose noise was cut from the same wider spectrum.

In the order in which data flow: `table` writes and reads the result, `twins.csv`.
"""
