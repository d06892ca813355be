"""Names of the precisions that networks run with, known without torch."""

PRECISIONS = ("32", "32-true", "bf16-mixed", "16-mixed")  # Lightning's names


def precision_name(name: str | int) -> str:
    """One name of a precision, whatever its case: `16` is Lightning's short name of `16-mixed`."""
    plain = str(name).strip().lower()
    return {"16": "16-mixed", "bf16": "bf16-mixed"}.get(plain, plain)
