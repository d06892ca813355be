"""Albumentations, kept from asking the network for a newer release of itself when it is imported."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations  # noqa: F401 - after the variable that it reads
