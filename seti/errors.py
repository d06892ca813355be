"""The one kind of error that is a person's to fix."""


class SetiError(Exception):
    """A mistake in the input, the settings or the machine, not in the program.

    Its message is one line that says what is wrong, where, and what to do. Commands print it without a
    traceback and exit with code 1.
    """

    def __init__(self, message: str) -> None:
        # torch raises an error of a DataLoader's worker again, with the worker's whole traceback as its message.
        if message.startswith("Caught SetiError in DataLoader worker"):
            message = message.rsplit(f"{__name__}.SetiError: ", 1)[-1].strip()
        super().__init__(message)


def brief(value: object, length: int = 60) -> str:
    """A value out of a file, as a short piece of a line: nothing in it may move a terminal's cursor."""
    text = " ".join(str(value)[: 4 * length].split())
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= length else f"{text[:length]}..."
