"""Figures of chosen cadences, and galleries of an experiment's best scores and worst errors."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from seti.data import competition
from seti.data.cadence import read_cadence
from seti.errors import SetiError
from seti.experiments import predictions as sidecar
from seti.experiments.experiment import Experiment, open_experiment
from seti.reports import figures, labels, waterfalls
from seti.utils import files

GALLERY_COUNT = 6


def show(
    ids: list[str],
    out: Path,
    root: Path | None = None,
    ckpt_dir: Path | None = None,
    labels_path: Path | None = None,
) -> list[Path]:
    """Draw cadences, or without ids an experiment's gallery.

    Args:
        ids: of the train or the test set.
        out: folder of the figures of `ids`; a gallery goes to the experiment's folder.
        root: the data set; None: the experiment's, or `data`.
        ckpt_dir: the folder of an experiment whose scores are shown.
        labels_path: `labels.csv` of a page, whose cadences are drawn after `ids` with their labels; None: none.

    Returns:
        The figures' paths.

    Raises:
        SetiError: nothing to draw, an id that no table lists, or a damaged file.
    """
    experiment = None if ckpt_dir is None else open_experiment(ckpt_dir)
    root = data_root(experiment) if root is None else root
    given = {}
    if labels_path is not None:
        if labels.are_of_events(labels_path):
            msg = f"{labels_path} labels events: name the folder of their scan, scan=scans/<name>"
            raise SetiError(msg)
        given = labels.read_labels(labels_path)
        labels.check_labels(labels_path, given, read_ids(root).index, str(root))
        if not given:
            msg = f"{labels_path} labels no cadence: label some on the page of seti report, and export them again"
            raise SetiError(msg)
    ids = list(dict.fromkeys([*ids, *given]))
    if ids:
        return draw_ids(ids, root, out, experiment, given)
    if experiment is None:
        msg = (
            "nothing to draw: give ids=[<id>,...], labels=labels.csv (of events with scan=scans/<name>), or "
            "ckpt_dir=outputs/<exp_name> for an experiment's gallery"
        )
        raise SetiError(msg)
    return [draw_experiment_gallery(experiment, root)]


def draw_ids(
    ids: list[str],
    root: Path,
    out: Path,
    experiment: Experiment | None = None,
    given: Mapping[str, str] | None = None,
) -> list[Path]:
    """Draw cadences of the training or test set to `out/<id>.png`.

    Args:
        ids: ids listed in `train_labels.csv` or `sample_submission.csv`. Others are refused, so that no id can name a
            file outside the data set or outside `out`.
        root: the data set.
        out: the folder for the figures.
        experiment: the experiment whose scores are shown, if any.
        given: labels that the user gave, by id, for the titles.

    Raises:
        SetiError: an id is not listed, or its file is missing or damaged.
    """
    known = read_ids(root)
    for cadence_id in ids:  # check all ids before drawing the first
        if cadence_id not in known.index:
            raise SetiError(_unknown(cadence_id, root, known.index))
    for cadence_id in ids:
        files.try_output(out / f"{cadence_id}.png")
    scores = {} if experiment is None else {split: _scores(experiment, split) for split in ("train", "test")}
    paths = []
    for cadence_id in ids:
        cadence = _load(root, cadence_id, known, scores)
        figure = waterfalls.draw_cadence(
            cadence.panels,
            id=cadence.id,
            label=cadence.label,
            score=cadence.score,
            remark=(given or {}).get(cadence_id, ""),
        )
        paths.append(figures.save_figure(figure, out / f"{cadence_id}.png"))
    return paths


def draw_experiment_gallery(experiment: Experiment, root: Path) -> Path:
    """Draw an experiment's highest scores and worst errors to its `gallery.png`.

    The highest scores come from the test set once it is predicted. Errors are out-of-fold: the needles with the lowest
    scores, and the cadences without a needle with the highest.

    Args:
        experiment: an experiment with at least one finished fold.
        root: the data set it was trained on.

    Raises:
        SetiError: a table or a cadence is missing or damaged.
    """
    files.try_output(experiment.path / "gallery.png")
    known = read_ids(root)
    oof = experiment.read_oof()
    scores = {"train": _scores(experiment, "train"), "test": _scores(experiment, "test")}
    tested = len(scores["test"]) > 0
    needles = oof["target"].to_numpy() == 1
    rows = {
        f"Highest scores, {'test set' if tested else 'out-of-fold'}": highest(scores["test" if tested else "train"]),
        "False alarms: scored highest without a needle (out-of-fold)": highest(scores["train"][oof["id"][~needles]]),
        "Missed: needles scored lowest (out-of-fold)": highest(-scores["train"][oof["id"][needles]]),
    }
    unknown = [cadence_id for ids in rows.values() for cadence_id in ids if cadence_id not in known.index]
    if unknown:
        msg = (
            f"{root} does not list {unknown[0]}, which {experiment.name} has scored: set data.root to the "
            "data set it was trained on"
        )
        raise SetiError(msg)
    drawn = {heading: [_load(root, cadence_id, known, scores) for cadence_id in ids] for heading, ids in rows.items()}
    figure = waterfalls.draw_gallery(drawn, title=experiment.name, columns=GALLERY_COUNT)
    return figures.save_figure(figure, experiment.path / "gallery.png", dpi=100)


def highest(scores: pd.Series) -> list[str]:
    """List the ids with the highest scores, `GALLERY_COUNT` at most; ties are sorted by id."""
    return list(scores.sort_index().sort_values(ascending=False, kind="stable").index[:GALLERY_COUNT])


def data_root(experiment: Experiment | None) -> Path:
    """Return the data set an experiment was trained on; `data` without an experiment."""
    if experiment is None:
        return Path("data")
    return Path(experiment.first_result.data.root)


def read_ids(root: Path) -> pd.DataFrame:
    """List all cadences in a table with index id and columns split and target (NaN if unknown)."""
    tables = []
    # One half of a data set is enough; if both are missing, the reader raises the error.
    if (root / competition.LABELS).exists() or not (root / competition.SUBMISSION).exists():
        tables.append(competition.read_labels(root).assign(split="train"))
    if (root / competition.SUBMISSION).exists():
        test = pd.DataFrame({"id": competition.read_test_ids(root), "split": "test"})
        labels = _read_test_labels(root)
        targets = pd.Series(dtype=float) if labels is None else labels.set_index("id")["target"]
        tables.append(test.assign(target=targets.reindex(test["id"]).to_numpy(float)))
    known = pd.concat(tables).set_index("id")
    doubled = known.index[known.index.duplicated()]
    if len(doubled):
        msg = f"{root} lists {doubled[0]} in train and in test: remove it from one of the two tables"
        raise SetiError(msg)
    return known


def _read_test_labels(root: Path) -> pd.DataFrame | None:
    """Read test labels, which a figure can do without."""
    try:
        return competition.read_test_labels(root)
    except SetiError as error:
        competition.say_no_test_labels(root, f"no test labels: {error}")
        return None


def _scores(experiment: Experiment, split: str) -> pd.Series:
    """Read probabilities by id: out-of-fold for train; for test, predictions if there are any."""
    if split == "train":
        return experiment.read_oof().set_index("id")["prob"]
    predictions = sidecar.read_probabilities(experiment)
    return pd.Series(dtype=float) if predictions is None else predictions.set_index("id")["prob"].dropna()


def _load(
    root: Path, cadence_id: str, known: pd.DataFrame, scores: Mapping[str, pd.Series]
) -> waterfalls.LabelledCadence:
    split, target = known.loc[cadence_id, "split"], known.loc[cadence_id, "target"]
    score = scores[split].get(cadence_id) if split in scores else None
    panels = read_cadence(competition.cadence_path(root, split, cadence_id))
    return waterfalls.LabelledCadence(panels, cadence_id, None if np.isnan(target) else int(target), score)


def _unknown(cadence_id: str, root: Path, known: pd.Index) -> str:
    near = [other for other in known if cadence_id[:3] and other.startswith(cadence_id[:3])][:3]
    hint = f"; it lists {', '.join(near)}" if near else ""
    if "e+" in cadence_id.lower() or cadence_id in ("inf", "nan"):
        # Hydra parses hex digits with a single e among decimals as a number, and rewrites it.
        hint = "; an id that reads like a number needs quotes: \"ids=['12e4']\""
    return f"no table in {root} ({competition.LABELS}, {competition.SUBMISSION}) lists id {cadence_id!r}{hint}"
