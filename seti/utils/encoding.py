"""Output on terminals whose encoding lacks a character."""

import sys


def print_any_character() -> None:
    """Print characters that the encoding of the output lacks as escapes: Python would stop."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
