"""Find needles in Green Bank Telescope cadences."""

__version__ = "0.2.0"

import os
import sys

from seti.utils.shutdown import exit_on_interrupt

# Albumentations would ask the network for a newer release of itself when it is imported, by whichever room comes first.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

if sys.argv[:1] == ["-m"]:  # Python looks for the module of `python -m seti.<program>`
    exit_on_interrupt()
