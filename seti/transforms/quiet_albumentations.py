"""Albumentations, imported without its search for a newer release on the network."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations  # noqa: F401 - after the variable that it reads
