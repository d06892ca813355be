"""Figures, tables and galleries of experiments."""
