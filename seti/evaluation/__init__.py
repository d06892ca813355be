"""Evaluation of scores: calibration and rank averaging."""
