"""Folders of experiments: the records that runs write, and their safe reading."""
