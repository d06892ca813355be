"""Folds that a sweep trains: each of its jobs knows that the others follow."""

import os
from collections.abc import Iterable

VARIABLE = "SETI_SWEPT_FOLDS"  # environment variable, for jobs in processes of their own
ANY = "any"  # the sweep chooses folds as it goes


def announce(folds: Iterable[int] | None) -> None:
    """Tell the jobs of a sweep which folds it trains; None: not known."""
    os.environ[VARIABLE] = ANY if folds is None else ",".join(map(str, sorted(folds)))


def forget() -> None:
    """End the sweep."""
    os.environ.pop(VARIABLE, None)


def swept_folds() -> set[int] | None:
    """Numbers of the folds that this command trains, none outside of a sweep; None: not known."""
    announced = os.environ.get(VARIABLE, "")
    return None if announced == ANY else {int(word) for word in announced.split(",") if word.isdecimal()}
