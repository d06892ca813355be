"""Data sets of `seti twins clean=<folder>`, whose repeated backgrounds are subtracted.

`clean.json` is written first and `coverage.csv` last.
"""

import logging
from pathlib import Path

from seti.errors import SetiError
from seti.utils import files, hints
from seti.utils.console import near

log = logging.getLogger(__name__)

CLEAN, COVERAGE = "clean.json", "coverage.csv"
MARK = "-cleaned"  # of the fingerprint of such a data set: other cadences of the same ids
DEPTH = 2  # folders from a cadence file up to its data set: <root>/test/a
FITTING = ("none", "cleaned")  # values of data.normalise that leave differences as they are


def is_cleaned(root: Path) -> bool:
    """Check for a data set of `seti.backgrounds.clean_set`, without repeated backgrounds.

    Raises:
        SetiError: it is not finished.
    """
    if not (root / CLEAN).is_file():
        return False
    if not (root / COVERAGE).is_file():
        msg = (
            f"{root} has no {COVERAGE}: the command that writes this data set has not ended; give it again, with clean="
        )
        raise SetiError(msg)
    return True


def cleaned_above(folder: Path) -> Path | None:
    """Find the cleaned data set that a folder is, or is a part of; None where it is neither.

    Raises:
        SetiError: that data set is not finished.
    """
    candidates = [one for path in (folder.absolute(), folder.resolve()) for one in (path, *path.parents[:DEPTH])]
    found = next((one for one in candidates if is_cleaned(one)), None)
    return folder if found in (folder.absolute(), folder.resolve()) else found


def check_not_cleaned(root: Path) -> None:
    """Refuse to look for repeated backgrounds where they were subtracted.

    Raises:
        SetiError: naming the data set that it was made from.
    """
    cleaned = cleaned_above(root)
    if cleaned is not None:
        raw = _made_from(cleaned)
        search = "" if raw is None else f", {hints.shell(hints.setting('data.root', raw))}"
        msg = (
            f"data.root={root} has its repeated backgrounds subtracted already, and {cleaned / COVERAGE} lists the "
            f"twins: search the data set that it was made from{search}"
        )
        raise SetiError(msg)


def check_networks(folder: Path, name: str, normalise: str, fingerprint: str = "") -> None:
    """Refuse to score cleaned cadences with networks that were not made for them.

    Their normalisation divides by the noise that was subtracted. Networks that learned from cleaned cadences score
    others with a warning.

    Args:
        folder: of the cadences.
        name: of the networks.
        normalise: `data.normalise` of the networks.
        fingerprint: of the cadences that they learned from, if it is known.

    Raises:
        SetiError: naming the data set that it was made from, and how to train on this one.
    """
    root = cleaned_above(folder)
    if root is None and MARK in fingerprint:
        make = hints.command("twins", hints.setting("data.root", folder), "clean=<folder>")
        log.warning(
            "%s learned from cadences without their repeated backgrounds, and those of data.root=%s still have theirs: "
            "%s subtracts them",
            *(name, folder, make.replace("'clean=<folder>'", "clean=<folder>")),
        )
    if root is None or normalise in FITTING:
        return
    train = hints.command("train", "-m", "fold=all", "experiment=best_clean_cpu", hints.setting("data.root", root))
    raw = _made_from(root)
    instead = "" if raw is None else f"score {hints.shell(hints.setting('data.root', raw))}, or "
    msg = (
        f"data.root={folder} has its repeated backgrounds subtracted, and {name} was trained with data.normalise="
        f"{normalise}, which would divide the rounding noise that is left by itself: {instead}train networks for it "
        f"with {train}"
    )
    raise SetiError(msg)


def _made_from(root: Path) -> str | None:
    """Folder of the data set that was cleaned, as its record names it."""
    try:
        made = files.read_json(root / CLEAN).get("root")
    except (SetiError, AttributeError):
        return None
    return str(near(Path(made))) if isinstance(made, str) and Path(made).is_dir() else None
