"""Words of messages that depend on a number."""


def count(number: int, noun: str) -> str:
    """Number and noun, such as `2 rows`."""
    return f"{number} {noun}{'s' * (number != 1)}"
