"""The one kind of error that is a person's to mend."""


class SetiError(Exception):
    """A mistake in the input, the settings or the machine, not in the program.

    Its message is one line that says what is wrong, where, and what to do. Commands print it without a
    traceback and exit with code 1.
    """
