"""Predictions of any folder of cadences, labelled or not, into a folder of their own."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from seti.config.schema import AUTO
from seti.data.folder import OpenedFolder, open_folder
from seti.data.oddities import warn_of_unscorable
from seti.data.sources import CadenceSource
from seti.dataloading.dataset import CadenceDataset
from seti.errors import SetiError, SettingsError, brief
from seti.experiments import predictions
from seti.experiments.experiment import RELEASED, Experiment, open_experiment
from seti.inference import shards, tables
from seti.inference.ensemble import auto_batch_size, worth_compiling
from seti.inference.pool import Place, predictor_of
from seti.inference.scoring import LoadedEnsemble, load_ensemble
from seti.models.release_names import PRETRAINED, find_release
from seti.reports import figures, gallery, score_plots, waterfalls
from seti.utils import files, locks
from seti.utils.console import console
from seti.utils.shards import parse_shard
from seti.utils.wording import count

log = logging.getLogger(__name__)

FIGURES = ("gallery.png", "roc.png", "reliability.png")
MERGE_PATIENCE = 600  # s to wait for another run that writes the same tables
HIGHEST = 5  # cadences that are printed


def out_folder(ckpt_dir: str, out: str | None) -> Path | None:
    """Folder that predictions go to if it is not the experiment's own; None if it is."""
    if out is not None:
        return Path(out)
    release = find_release(ckpt_dir)
    if release is None:
        return None
    # Any other release has a folder of its own, such as outputs/needle_net_wide.
    return Path("outputs") / (PRETRAINED if ckpt_dir.rstrip("/") == PRETRAINED else Path(release).name)


def predict_folder(ckpt_dir: str, out: Path, cfg: Any, place: Place) -> float:
    """Score the cadences of `data.root`; write predictions, their record and figures.

    Args:
        ckpt_dir: `pretrained`, a release or an experiment, see `seti.inference.scoring.load_ensemble`.
        out: folder for the files.
        cfg: the configuration, `conf/predict.yaml`.
        place: where the networks run.

    Returns:
        AUC of the cadences that have a label; NaN where labels do not have both classes, and of a shard that is not
        the last one to end.

    Raises:
        SetiError: there is no cadence, one is damaged, the weights are damaged, or `out` is an experiment's folder.
    """
    target = Experiment(out)
    if any(out.glob("fold_*/result.json")):
        msg = f"{out} is the folder of an experiment, with predictions of its own: set out=<another folder>"
        raise SettingsError(msg)
    _check_owner(target, ckpt_dir)
    root = _root(ckpt_dir, cfg.data.root)
    ensemble = load_ensemble(ckpt_dir)
    ensemble.check_folder(root)
    if out.resolve() == root.resolve():
        msg = f"out={out} is data.root: give another folder for the predictions"
        raise SettingsError(msg)
    choices = {name: cfg.data[name] for name in ("packed", "pack_dir", "on_error")}
    opened = open_folder(root, ensemble.panels, **choices)
    warn_of_unscorable(opened.source, ensemble.spec.normalise)
    written = (target.predictions_path, target.submission_path, target.predictions_record)
    files.try_outputs(out, [path.name for path in written])
    out.mkdir(parents=True, exist_ok=True)
    shard = parse_shard(cfg.shard)
    doing = f"predicting with {ensemble.name}"
    with locks.hold(out, doing) if shard is None else shards.only_shard(out, shard):
        probs = _probabilities(ensemble, opened, root, out, cfg, place)
    if probs is None:
        return float("nan")
    with locks.hold(out, doing, patience=MERGE_PATIENCE):
        files.remove_stale_parts(out)
        folds, prior = ensemble.folds, ensemble.prior
        prior_name = "training prior" if find_release(ckpt_dir) is None else "assumed share of needles"
        ids, usable = opened.ids, opened.source.ids
        table = tables.write(target, ids, usable, folds, probs, cfg.average, prior, prior_name, of="cadence")
        record = predictions.describe(
            target,
            ensemble.digests,
            root,
            table["id"],
            f"{cfg.precision} on {place.device.type}",
            cfg.average,
        )
        files.write_json(target.predictions_record, {**record, "networks": ckpt_dir})
        _draw(target, ensemble, opened, table)
        _print_highest(table)
        auc = tables.report_auc(out.name, str(root), table, opened.labels, cfg.average)
        if shard is None:
            shards.remove(out)
    print(f"wrote {target.predictions_path}, {target.submission_path.name} and {_drawn(out)}")
    return auc


def _check_owner(target: Experiment, ckpt_dir: str) -> None:
    """Refuse a folder that holds predictions of other networks.

    Those of a release's or experiment's networks before they were trained again, and of other cadences, are replaced.
    """
    try:
        owner = files.read_json(target.predictions_record)["networks"]
        same = not isinstance(owner, str) or _identity(owner) == _identity(ckpt_dir)
    except (SetiError, OSError, KeyError, TypeError):  # none, or of no known networks
        return
    if not same:
        msg = f"out={target.path} holds predictions of {brief(owner, 200)}: set out=<another folder>, or remove it"
        raise SettingsError(msg)


def _identity(ckpt_dir: str) -> str | Path:
    try:
        release = find_release(ckpt_dir)
    except SetiError:  # one of another version
        return ckpt_dir
    return Path(ckpt_dir).resolve() if release is None or isinstance(release, Path) else release


def _root(ckpt_dir: str, given: str | None) -> Path:
    """Folder of the cadences: if none is given, that of an experiment's training."""
    if given is not None:
        return Path(given)
    if find_release(ckpt_dir) is not None:
        msg = "data.root is not set: give the folder of cadences to score, data.root=<folder>"
        raise SettingsError(msg)
    return Path(open_experiment(Path(ckpt_dir), RELEASED).first_result.data.root)


def _probabilities(
    ensemble: LoadedEnsemble, opened: OpenedFolder, root: Path, out: Path, cfg: Any, place: Place
) -> np.ndarray | None:
    """Run the networks over a folder or a shard of it; None while other shards are not done."""
    device = place.device
    fixed = None if cfg.data.batch_size == AUTO else cfg.data.batch_size
    dataset = ensemble.dataset(opened.source, device)

    def run(part: CadenceDataset, **options: Any) -> np.ndarray:
        choices = cfg.device, cfg.precision, cfg.flips, fixed, cfg.data.num_workers
        return ensemble.probabilities(part.source, *choices, compiled=compiled, **options)

    compiled = worth_compiling(cfg.compile, device, len(dataset), len(ensemble.folds), cfg.flips)
    size = fixed or auto_batch_size(dataset, device)
    ensembles = [(out, len(ensemble.folds), ensemble.digests)]
    predictor = predictor_of(cfg, place, ensemble.classifiers, dataset, size, compiled)
    label = f"{ensemble.name}: {count(len(ensemble.folds), 'network')}"
    return shards.predict_shard(cfg, place, root, dataset, size, ensembles, run, predictor, label)


def _draw(target: Experiment, ensemble: LoadedEnsemble, opened: OpenedFolder, table: pd.DataFrame) -> None:
    """Draw the highest scores; with labels also the worst errors, ROC curve and calibration."""
    for name in FIGURES:  # of an earlier prediction, which may have had labels
        (target.path / name).unlink(missing_ok=True)
    scored = table.dropna(subset="prob").set_index("id")["prob"]
    rows = {"Highest scores": gallery.highest(scored)}
    targets: Mapping[str, int] = {}
    if opened.labels is not None:
        targets = opened.labels.set_index("id")["target"].to_dict()
        known = scored[scored.index.isin(list(targets))]
        needles = known.index.map(targets) == 1
        rows["False alarms: scored highest without a needle"] = gallery.highest(known[~needles])
        rows["Missed: needles scored lowest"] = gallery.highest(-known[needles])
        joined = opened.labels.merge(table.dropna(subset="prob"), on="id")
        if joined["target"].nunique() == 2:
            curves = {target.name: (joined["target"], joined["prob"])}
            figures.save_figure(score_plots.draw_roc(curves), target.path / "roc.png")
            figures.save_figure(score_plots.draw_reliability(curves), target.path / "reliability.png")
    places = {name: place for place, name in enumerate(opened.source.ids)}
    drawn = {
        heading: [_load(opened.source, places, name, scored, targets) for name in ids]
        for heading, ids in rows.items()
        if ids
    }
    figure = waterfalls.draw_gallery(drawn, title=f"{ensemble.name}: {target.name}", columns=gallery.GALLERY_COUNT)
    figures.save_figure(figure, target.path / "gallery.png", dpi=100)


def _load(
    source: CadenceSource, places: Mapping[str, int], name: str, scores: pd.Series, targets: Mapping[str, int]
) -> waterfalls.LabelledCadence:
    return waterfalls.LabelledCadence(source.read(places[name]), name, targets.get(name), scores[name])


def _print_highest(table: pd.DataFrame) -> None:
    report = Table("id", "probability", title="highest scores")
    for name in gallery.highest(table.dropna(subset="prob").set_index("id")["prob"])[:HIGHEST]:
        report.add_row(name, f"{table.set_index('id')['prob'][name]:.4f}")
    console().print(report)


def _drawn(out: Path) -> str:
    return ", ".join(name for name in FIGURES if (out / name).exists())
