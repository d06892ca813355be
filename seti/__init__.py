"""Find needles in Green Bank Telescope cadences."""

__version__ = "0.1.0"
