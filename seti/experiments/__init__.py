"""Folders of experiments: the records that a run leaves, and reading them back safely."""
