"""Gallery of cadences: which are shown, with which facts and images."""

import logging
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from seti.data import competition
from seti.data.cadence import PANEL_LETTERS, read_cadence
from seti.errors import SetiError
from seti.reports import gallery, labels
from seti.reports.pages import images
from seti.reports.pages.image_files import ImageFiles
from seti.reports.pages.ranking import Ranking
from seti.utils import console

MOST = 10_000  # cadences in a gallery
ROW = 420  # characters of a row in the page, about

log = logging.getLogger(__name__)


def gallery_of(
    ranking: Ranking, drawn: ImageFiles, count: int, given: Mapping[str, str], labels_path: Path | None
) -> dict[str, Any]:
    """Content of the gallery, for the page's template and script.

    Args:
        ranking: the scored cadences.
        drawn: images of the page, to which these are added.
        count: cadences at most, and at most `MOST`; labelled ones are added.
        given: labels by id.
        labels_path: their file.

    Raises:
        SetiError: the labels are of another data set.
    """
    table = ranking.table
    if labels_path is not None:
        labels.check_labels(labels_path, given, table["id"], ranking.name)
    if count > MOST and len(table) > MOST:
        log.warning("cadences=%s: a page has %s at most, the most telling ones", f"{count:,}", f"{MOST:,}")
    chosen = choose(table, min(count, MOST))
    labelled = table[table["id"].isin(given.keys()) & ~table["id"].isin(chosen["id"])]
    chosen = pd.concat([chosen, labelled], ignore_index=True)
    drawn.reserve(ROW * len(chosen))
    draw(chosen, ranking.roots, drawn)
    return {
        "identity": ranking.identity,
        "name": ranking.name,
        "thing": "cadence",
        "all": len(table),
        "threshold": ranking.point.threshold,
        "has_snr": bool(chosen["snr"].notna().any()),
        "remark": drawn.remark,
        "labels": dict(given),
        "exported": [],
        "axes": _axes(*drawn.shape) if drawn.shape else None,
        "rows": [_row(one, drawn) for one in chosen.itertuples()],
    }


def _axes(rows: int, bins: int) -> dict[str, Any]:
    """Texts at the axes of a cadence in full size."""
    ticks = [str(round(share * bins / 4)) for share in range(5)]
    return {
        "letters": list(PANEL_LETTERS),
        "ticks": ticks,
        "x": "frequency bin",
        "y": f"time, downwards: {rows} rows a panel",
    }


def _row(row: Any, drawn: ImageFiles) -> dict[str, Any]:
    fold = None if pd.isna(row.fold) else int(row.fold)
    target = None if pd.isna(row.target) else int(row.target)
    snr = None if pd.isna(row.snr) else round(float(row.snr), 1)
    place = row.split if fold is None else f"fold {fold}"
    words = [f"score {row.score:.4f}", {None: "", 0: "no needle", 1: "needle"}[target], row.kind, place]
    return {
        "id": row.id,
        "facts": [", ".join([word for word in words if word] + ([] if snr is None else [f"SNR {snr:.3g}"]))],
        "place": row.split if fold is None else str(fold),
        "fold": fold,
        "split": row.split,
        "target": target,
        "score": round(float(row.score), 6),
        "error": -1 if target is None else round(abs(target - float(row.score)), 6),
        "snr": snr,
        "kind": row.kind,
        "small": drawn.small.get(row.id),
        "large": drawn.large.get(row.id),
    }


def choose(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Choose the cadences that are worth a look, most telling first.

    Taken in turns: test cadences from the highest score, false alarms from the highest, needles from the lowest,
    needles from the highest.

    Args:
        table: of a `Ranking`.
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


def draw(table: pd.DataFrame, roots: Mapping[str, Path], drawn: ImageFiles) -> None:
    """Draw cadences into files, thumbnails and full sizes.

    A page without the images of a data set that is gone, or of a damaged file, is still of use.

    Args:
        table: chosen cadences.
        roots: data set of each split.
        drawn: images of the page, to which these are added.
    """
    drawn.remark = _unlisted(table, roots)
    if drawn.remark:
        return
    failed = []
    with console.cadence_progress() as progress:
        for row in progress.track(list(table.itertuples()), description="drawing"):
            try:
                panels = read_cadence(competition.cadence_path(roots[row.split], row.split, row.id))
            except SetiError as error:
                failed.append(str(error))
                continue
            drawn.shape = panels.shape[1:]
            small = images.draw_cadence(panels, images.SMALL)
            drawn.add(row.id, row.id, small, images.draw_cadence(panels, images.LARGE))
    if failed:
        drawn.remark = f"{len(failed)} of {len(table)} cadences have no image, first: {failed[0]}"
        log.warning("%s", drawn.remark)


def _unlisted(table: pd.DataFrame, roots: Mapping[str, Path]) -> str:
    """One line if a data set is gone or is another one."""
    for split, rows in table.groupby("split"):
        try:
            known = set(gallery.read_ids(roots[split]).index)
        except SetiError as error:
            remark = f"no images: {error}"
        else:
            unknown = [one for one in rows["id"] if one not in known]
            if not unknown:
                continue
            remark = f"no images: {roots[split]} does not list {unknown[0]}"
        remark += "; data.root=<folder> names the data set that the experiment was trained on"
        log.warning("%s", remark)
        return remark
    return ""
