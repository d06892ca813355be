"""Find needles in Green Bank Telescope cadences."""

__version__ = "0.1.0"

import sys

from seti.interruption import leave_quietly

if sys.argv[:1] == ["-m"]:  # Python looks for the module of `python -m seti.<program>`
    leave_quietly()
