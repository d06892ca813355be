"""Labels that the user gave cadences in the gallery: `labels.csv`, which a page exports."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from seti.errors import SetiError
from seti.utils import files

# By the key that sets it on the page.
LABELS = {"F": "follow up", "O": "hits in OFF", "I": "interesting", "A": "artefact"}


def read_labels(path: Path) -> dict[str, str]:
    """Read `labels.csv`: columns id and label.

    Returns:
        Labels by id, in the order of the file.

    Raises:
        SetiError: the file is missing or damaged, has another label than `LABELS`, or an id twice.
    """
    table = files.read_csv(path, ["id", "label"])
    unknown = table[~table["label"].isin(LABELS.values())]
    if len(unknown):
        first = unknown.iloc[0]
        msg = f"{path} labels {first['id']} {first['label']!r}: labels are {', '.join(LABELS.values())}"
        raise SetiError(msg)
    doubled = table["id"][table["id"].duplicated()]
    if len(doubled):
        msg = f"{path} labels {doubled.iloc[0]} twice: keep one of the rows"
        raise SetiError(msg)
    return dict(zip(table["id"].astype(str), table["label"], strict=True))


def are_of_events(path: Path) -> bool:
    """True for labels that the page of a scan has exported."""
    try:
        return {"event", "freq_mhz"} <= set(pd.read_csv(path, nrows=0).columns)
    except (OSError, ValueError):
        return False


def check_labels(
    path: Path, labels: Collection[str], known: Collection[str], owner: str, things: str = "cadences"
) -> None:
    """Refuse labels of another data set, or of other observations.

    Args:
        path: of the labels.
        labels: their ids.
        known: ids that can have a label.
        owner: of these ids, for the message.
        things: that have the ids.

    Raises:
        SetiError: an id is not known.
    """
    known = set(known)
    foreign = [one for one in labels if one not in known]
    if foreign:
        msg = (
            f"{path} labels {len(foreign)} of {len(labels)} {things} that {owner} does not have, first {foreign[0]}: "
            f"give the labels of the same {'data set' if things == 'cadences' else 'observations'}"
        )
        raise SetiError(msg)
