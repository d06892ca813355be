"""Evaluation of scores: `calibration`, the averaging of `ranks`, and `brightness_baseline`."""
