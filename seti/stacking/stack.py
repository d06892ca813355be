"""The stacking program: blend experiments and write `outputs/stack/`."""

import fnmatch
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from seti.config.checks import choice
from seti.config.commands import StackConfig
from seti.data import competition
from seti.errors import SetiError, settings_errors
from seti.evaluation.calibration import CALIBRATE
from seti.evaluation.ranks import rank_mean
from seti.experiments import predictions, trackers
from seti.experiments.experiment import Experiment, find_experiments
from seti.reports import figures, score_plots
from seti.reports.pages.report import PAGE, write_stack
from seti.stacking.out_of_fold import (
    META_MODELS,
    NestedPredictions,
    OutOfFold,
    fit_calibrator,
    join_oof,
    join_predictions,
    nested_probabilities,
)
from seti.stacking.report import TestProbs, print_report, stack_report
from seti.utils import files, hints, locks

STACK_FOLDER = "stack"
WILD = frozenset("*?")  # of patterns; exp_name can hold neither


def stack(cfg: StackConfig) -> float:
    """Blend experiments, write `outputs/stack/` and print all scores.

    Args:
        cfg: the configuration, `conf/stack.yaml`.

    Returns:
        AUC of the nested cross-validation, over all rows at once.

    Raises:
        SetiError: the meta-model, the calibration or an experiment is unknown, an experiment is unfinished or there is
            none, tables do not match, or another run is stacking.
    """
    _settle(cfg)
    experiments = choose_experiments(Path(cfg.output_dir), cfg.experiments)
    if len(experiments) == 1:
        print(f"note: {experiments[0].name} is the only experiment: the stack ranks cadences exactly as it does")
    for name in ("stack.json", "oof.csv", "submission.csv", *([PAGE] if cfg.report else [])):
        files.try_output(Path(cfg.output_dir) / STACK_FOLDER / name)
    oof = join_oof({experiment.name: experiment.read_oof() for experiment in experiments})
    tables, lacking = _read_predictions(experiments)
    test_ids, test = None, None
    if not lacking:
        joined = join_predictions(tables)
        test_ids, test = joined.index, joined.dropna()
        if test.empty:
            msg = "no test cadence has a score by every experiment: fix the test set and predict it again"
            raise SetiError(msg)

    folder = Path(cfg.output_dir) / STACK_FOLDER
    folder.mkdir(exist_ok=True)
    with locks.hold(folder, "stacking"):
        files.remove_stale_parts(folder)
        auc = _blend(cfg, folder, experiments, oof, test_ids, test, lacking)
        scores = files.read_json(folder / "stack.json")["stack"]
        settings = OmegaConf.to_container(OmegaConf.structured(cfg)) | {
            "experiments": [one.name for one in experiments]
        }
        numbers = {key: value for key, value in scores.items() if isinstance(value, float)}
        trackers.record(cfg.logger, trackers.Run(folder.parent, "stack"), settings, numbers)
        if cfg.report:
            write_stack(folder, folder / PAGE)
        return auc


@settings_errors()
def _settle(cfg: StackConfig) -> None:
    """Refuse settings that cannot work, and write choices as they are defined, in place."""
    if not 0 <= cfg.seed < 2**32:
        msg = f"seed={cfg.seed} must be between 0 and {2**32 - 1}"
        raise SetiError(msg)
    if cfg.n_jobs == 0:
        msg = "n_jobs=0 is not a number of threads: use 1 or more, or null for one per core"
        raise SetiError(msg)
    for name, choices in (("meta", META_MODELS), ("calibrate", CALIBRATE)):
        value = choice(getattr(cfg, name), choices)
        setattr(cfg, name, value)
        if value not in choices:
            msg = f"{name}={value} is none of {', '.join(choices)}"
            raise SetiError(msg)
    cfg.logger = choice(cfg.logger, trackers.PACKAGES)
    if cfg.logger not in (None, *trackers.PACKAGES):
        msg = f"logger={cfg.logger} is none of {', '.join(trackers.PACKAGES)}, or null for none"
        raise SetiError(msg)
    trackers.check_tracker(cfg.logger)


def _blend(
    cfg: StackConfig,
    folder: Path,
    experiments: Sequence[Experiment],
    oof: OutOfFold,
    test_ids: pd.Index | None,
    test: pd.DataFrame | None,
    lacking: Sequence[Experiment],
) -> float:
    seed, n_jobs = cfg.seed, -1 if cfg.n_jobs is None else cfg.n_jobs
    rows = oof.rows()
    fitted = {name: fit(rows, seed, n_jobs) for name, fit in META_MODELS.items()}
    # Calibration costs more fits, and only the chosen meta-model needs it.
    nested = {
        name: nested_probabilities(fit, rows, seed, n_jobs, cfg.calibrate if name == cfg.meta else "none")
        for name, fit in META_MODELS.items()
    }
    chosen = nested[cfg.meta]
    calibrator = fit_calibrator(cfg.calibrate, fitted[cfg.meta], rows, seed)
    blends = {"mean": oof.probs.mean(axis=1), "rank_mean": rank_mean(oof.probs), "stack": chosen.calibrated}
    test_probs = TestProbs()
    if test is not None:
        models = {name: model.predict(test[oof.probs.columns].to_numpy()) for name, model in fitted.items()}
        stacked = calibrator(models[cfg.meta])
        mixed = {"mean": test.mean(axis=1), "rank_mean": rank_mean(test), "stack": stacked}
        test_probs = TestProbs(test, models, mixed, _test_targets(experiments, test.index))
    report = stack_report(oof, cfg.meta, fitted, nested, blends, test_probs)
    report |= {
        "calibrate": cfg.calibrate,
        "cadences": len(oof.ids),
        "positives": int(oof.targets.sum()),
        "seed": int(seed),
        "test_cadences_without_score": 0 if test is None else len(test_ids) - len(test),
        "not_honest": [experiment.name for experiment in experiments if not experiment.is_honest],
        "without_predictions": [experiment.name for experiment in lacking],
    }
    submission = None
    if test is not None:
        prior = float(oof.targets.mean())  # for cadences that could not be read, as in prediction
        target = pd.Series(stacked, index=test.index).reindex(test_ids).fillna(prior)
        submission = pd.DataFrame({"id": test_ids, "target": target.to_numpy()})
    _write(folder, report, oof, chosen, submission)
    print_report(report)
    for experiment in lacking:
        command = hints.command("predict", hints.setting("ckpt_dir", experiment.path))
        print(f"no submission yet: {experiment.name} lacks predictions from all of its folds: {command}")
    if test is None or submission is None:
        print(f"wrote {folder}: stack.json, oof.csv and figures; then run the same command again for submission.csv")
    else:
        if len(test) < len(submission):
            print(f"note: {len(submission) - len(test)} test cadences have no score: they get the prior, {prior:.4f}")
        print(f"wrote {folder}: submit {folder / 'submission.csv'} ({len(submission)} cadences)")
    return report["stack"]["oof_auc"]


def choose_experiments(output_dir: Path, names: Sequence[str] | None) -> list[Experiment]:
    """Find the experiments to blend.

    Args:
        output_dir: the folder of experiments.
        names: names of the experiments, or their folders; None for all that are finished, with a note on each of
            the others.

    Returns:
        At least one experiment, sorted by name.

    Raises:
        SetiError: there is no finished experiment, or a named one is unknown or unfinished.
    """
    found = {experiment.name: experiment for experiment in find_experiments(output_dir)}
    if names is not None:
        unique = {name for given in names for name in _names_in(output_dir, given, found)}
        chosen = [_named(name, found, output_dir) for name in sorted(unique)]
        if not chosen:
            msg = "experiments=[] is empty: name some, or omit the key to blend all finished ones"
            raise SetiError(msg)
        return chosen
    finished = [experiment for experiment in found.values() if experiment.is_finished()]
    unfinished = [experiment for experiment in found.values() if not experiment.is_finished()]
    if not finished:
        command = hints.command("train", "-m", "fold=0,1,2,3,4")
        msg = f"{output_dir} has no finished experiment: train one with {command}"
        if unfinished:
            msg = f"{output_dir} has no finished experiment; {'; '.join(map(_unfinished, unfinished))}"
        raise SetiError(msg)
    for experiment in unfinished:
        print(f"note: left out {_unfinished(experiment)}")
    return finished


def _names_in(output_dir: Path, given: str, found: Mapping[str, Experiment]) -> list[str]:
    """Names of the experiments that one name, folder or pattern such as `base*` stands for.

    Raises:
        SetiError: the folder is in another one than `output_dir`, or a pattern fits none.
    """
    name = _name_in(output_dir, given)
    if not WILD & set(name):
        return [name]
    fitting = fnmatch.filter(found, name)
    if not fitting:
        has = f"it has {', '.join(found)}" if found else "none has a finished fold"
        msg = f"experiments: {given} fits no experiment of {output_dir}: {has}"
        raise SetiError(msg)
    return fitting


def _name_in(output_dir: Path, given: str) -> str:
    """Name of an experiment that is given by its name or its folder, as in `outputs/base/`.

    Raises:
        SetiError: the folder is in another one than `output_dir`.
    """
    folders = [path.resolve() for path in (output_dir / given, Path(given))]
    name = next((folder.name for folder in folders if folder.parent == output_dir.resolve()), given)
    pattern = bool(WILD & set(folders[1].name))
    if name == given and "/" in given and (folders[1].parent if pattern else folders[1]).is_dir():
        holds = not pattern and find_experiments(Path(given))  # the folder of experiments itself
        there = hints.shell(hints.setting("output_dir", Path(given) if holds else Path(given).parent))
        msg = f"experiments: {given} is not in output_dir={output_dir}: a stack blends one folder's; set {there}"
        raise SetiError(msg)
    return name


def _named(name: str, found: Mapping[str, Experiment], output_dir: Path) -> Experiment:
    if name in found:
        if not found[name].is_finished():
            raise SetiError(_unfinished(found[name]))
        return found[name]
    if (output_dir / name).is_dir() and any((output_dir / name).glob("fold_*")):
        msg = f"{name} has no finished fold (fold_<k>/result.json): let its training finish, or leave it out"
        raise SetiError(msg)
    near = get_close_matches(name, found, n=3, cutoff=0.3) or list(found)[:3]
    known = f"similar names: {', '.join(near)}" if near else "none has a finished fold"
    msg = f"{output_dir} has no experiment {name!r}: {known}"
    raise SetiError(msg)


def _unfinished(experiment: Experiment) -> str:
    missing = ", ".join(map(str, experiment.missing_folds()))
    command = experiment.train_command(experiment.missing_folds())
    return f"{experiment.name}: fold {missing} not finished; train with {command}"


def _read_predictions(experiments: Sequence[Experiment]) -> tuple[dict[str, pd.DataFrame], list[Experiment]]:
    """Read test predictions, and list experiments that lack predictions from some folds."""
    tables, lacking = {}, []
    for experiment in experiments:
        table = predictions.read_probabilities(experiment)
        if table is None:
            lacking.append(experiment)
        else:
            tables[experiment.name] = table
    return tables, lacking


def _test_targets(experiments: Sequence[Experiment], ids: pd.Index) -> np.ndarray | None:
    """Find test labels, which simulated data sets have, under the experiments' data roots."""
    for root in dict.fromkeys(e.first_result.data.root for e in experiments):
        try:
            labels = competition.read_test_labels(Path(root))
        except SetiError as error:  # labels are a help: the blend does not depend on them
            print(f"note: no test AUC: {error}")
            continue
        if labels is None:
            continue
        targets = labels.set_index("id")["target"].reindex(ids)
        if targets.notna().all() and targets.nunique() == 2:
            return targets.to_numpy(np.int64)
        print(
            f"note: no test AUC: {Path(root, competition.TEST_LABELS)} does not label every test id, or has one class"
        )
    return None


def _write(
    folder: Path,
    report: dict[str, Any],
    oof: OutOfFold,
    nested: NestedPredictions,
    submission: pd.DataFrame | None,
) -> None:
    """Write all files under temporary names first, so that a failure keeps an earlier stack."""
    table = pd.DataFrame({"id": oof.ids, "fold": oof.folds, "target": oof.targets, "prob": nested.calibrated})
    curves = {name: (oof.targets, oof.probs[name].to_numpy()) for name in oof.probs}
    several = len(oof.probs.columns) > 1
    with ExitStack() as staged:

        def path_of(name: str) -> Path:
            return staged.enter_context(files.atomic_write(folder / name))

        # Files are renamed in reverse order: stack.json comes last, as the sign that all others are complete.
        report_path = path_of("stack.json")
        stack = {"stack (nested)": (oof.targets, nested.calibrated)}
        before = {"before calibration": (oof.targets, nested.probs)} if report["calibrate"] != "none" else {}
        figures.save_figure(score_plots.draw_roc({**stack, **curves}), path_of("roc.png"))
        figures.save_figure(score_plots.draw_reliability({**stack, **before}), path_of("reliability.png"))
        if several:
            figures.save_figure(score_plots.draw_correlation(oof.probs), path_of("correlation.png"))
        files.write_csv(path_of("oof.csv"), table)
        if submission is not None:
            files.write_csv(path_of("submission.csv"), submission)
        files.write_json(report_path, report)
    # Files of an earlier stack of other experiments must not pass for this one's.
    for name, written in (("submission.csv", submission is not None), ("correlation.png", several)):
        if not written and (folder / name).exists():
            (folder / name).unlink()
            print(f"note: deleted {folder / name}, written by an earlier stack of other predictions")
