"""Find needles in Green Bank Telescope cadences."""

__version__ = "0.2.0"
