"""Output on terminals whose encoding lacks a character."""

import sys

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def print_any_character() -> None:
    """Print characters that the encoding of the output lacks as escapes: Python would stop."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def plus_minus() -> str:
    """Return the sign between a mean and its deviation, `+-` where the output lacks it."""
    try:
        PLUS_MINUS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "+-"
    return PLUS_MINUS
