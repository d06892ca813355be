"""Cadences of a gallery: which are shown, and their images in files next to the page."""

import logging
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from seti.data import competition
from seti.data.cadence import read_cadence
from seti.errors import SetiError
from seti.evaluation.recall import OperatingPoint
from seti.experiments import predictions
from seti.experiments.experiment import Experiment
from seti.reports import gallery
from seti.reports.pages import images
from seti.utils import console, files

log = logging.getLogger(__name__)

INLINE = 4_000_000  # bytes of thumbnails in the page itself: a page that is sent alone still shows the first ones
FOUND, MISSED, FALSE_ALARM, REJECTED = "found", "missed", "false alarm", "rejected"


@dataclass(frozen=True)
class Drawn:
    """Images of a gallery.

    Attributes:
        small, large: URIs of the thumbnails and the images in full size by id, relative to the page.
        remark: one line about cadences without an image; empty where all have one.
    """

    small: dict[str, str]
    large: dict[str, str]
    remark: str = ""


def all_cadences(experiment: Experiment, point: OperatingPoint) -> pd.DataFrame:
    """Tabulate the cadences that an experiment has scored.

    Returns:
        Columns id, split, fold and target (missing for the test set, unless its labels are known), score and kind:
        `found`, `missed`, `false alarm` or `rejected` at the threshold, empty where the label is unknown.
    """
    oof = experiment.read_oof().rename(columns={"prob": "score"}).assign(split="train")
    tables = [oof]
    test = _predicted(experiment)
    if test is not None:
        tables.append(test)
    table = pd.concat(tables, ignore_index=True)
    threshold = float("inf") if point.threshold is None else point.threshold
    high, needle = table["score"] >= threshold, table["target"] == 1
    table["kind"] = ""
    table.loc[needle, "kind"] = MISSED
    table.loc[needle & high, "kind"] = FOUND
    table.loc[table["target"] == 0, "kind"] = REJECTED
    table.loc[(table["target"] == 0) & high, "kind"] = FALSE_ALARM
    return table


def choose(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Choose the cadences that are worth a look, most telling first.

    Taken in turns: test cadences from the highest score, false alarms from the highest, needles from the lowest,
    needles from the highest.

    Args:
        table: of `all_cadences`.
        count: how many at most.
    """
    rising = table.sort_values(["score", "id"], kind="stable")
    falling = rising[::-1]
    turns = [
        falling.index[falling["split"] == "test"],
        falling.index[(falling["split"] == "train") & (falling["target"] == 0)],
        rising.index[(rising["split"] == "train") & (rising["target"] == 1)],
        falling.index[(falling["split"] == "train") & (falling["target"] == 1)],
    ]
    chosen: dict[int, None] = {}
    for turn in zip_longest(*turns):
        if len(chosen) >= count:
            break
        chosen |= dict.fromkeys(index for index in turn if index is not None)
    return table.loc[list(chosen)[:count]].reset_index(drop=True)


def draw(table: pd.DataFrame, root: Path, folder: Path, inline: int) -> Drawn:
    """Draw cadences into files, thumbnails and full sizes.

    A page without the images of a data set that is gone, or of a damaged file, is still of use.

    Args:
        table: chosen cadences.
        root: the data set.
        inline: bytes of thumbnails that the page itself takes at most, `INLINE` or fewer.
        folder: of the files, next to the page. Images of an earlier page in it are removed.
    """
    remark = _unlisted(table, root)
    if remark:
        return Drawn({}, {}, remark)
    small, large, written, failed, used = {}, {}, set(), [], 0
    with console.cadence_progress() as progress:
        for row in progress.track(list(table.itertuples()), description="drawing"):
            try:
                panels = read_cadence(competition.cadence_path(root, row.split, row.id))
            except SetiError as error:
                failed.append(str(error))
                continue
            thumbnail = images.draw_cadence(panels, images.SMALL)
            if used + len(thumbnail) <= min(inline, INLINE):
                used += len(thumbnail)
                small[row.id] = images.data_uri("jpeg", thumbnail)
            else:
                small[row.id] = _write(folder / "small" / f"{row.id}.jpg", thumbnail, folder, written)
            full = images.draw_cadence(panels, images.LARGE, letters=True)
            large[row.id] = _write(folder / "full" / f"{row.id}.jpg", full, folder, written)
    for path in folder.glob("*/*.jpg"):
        if path not in written:
            path.unlink()
    if failed:
        remark = f"{len(failed)} of {len(table)} cadences have no image, first: {failed[0]}"
        log.warning("%s", remark)
    return Drawn(small, large, remark)


def _write(path: Path, content: bytes, folder: Path, written: set[Path]) -> str:
    with files.atomic_write(path, durable=False) as temporary:
        temporary.write_bytes(content)
    written.add(path)
    return quote(path.relative_to(folder.parent).as_posix())


def _unlisted(table: pd.DataFrame, root: Path) -> str:
    """One line if the data set is gone or is another one."""
    try:
        known = set(gallery.read_ids(root).index)
    except SetiError as error:
        remark = f"no images: {error}"
    else:
        unknown = [one for one in table["id"] if one not in known]
        if not unknown:
            return ""
        remark = f"no images: {root} does not list {unknown[0]}"
    remark += "; data.root=<folder> names the data set that the experiment was trained on"
    log.warning("%s", remark)
    return remark


def _predicted(experiment: Experiment) -> pd.DataFrame | None:
    try:
        table = predictions.read_probabilities(experiment)
    except SetiError as error:
        log.warning("no test cadences: %s", error)
        return None
    if table is None:
        return None
    test = table[["id"]].assign(split="test", score=table["prob"]).dropna(subset="score")
    root = Path(files.read_json(experiment.predictions_record)["data"].get("root", ""))
    try:
        known = competition.read_test_labels(root)
    except SetiError:
        known = None
    if known is None:
        return test
    return test.merge(known[["id", "target"]], on="id", how="left")
