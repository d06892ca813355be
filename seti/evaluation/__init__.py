"""Scores: calibration, ranks, and the AUC that brightness alone reaches."""
