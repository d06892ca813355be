"""Search for settings: trials of Optuna, each an experiment whose folds are trained in turn."""

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from seti.config import arguments
from seti.config.checks import check_range
from seti.config.compose import compose_words
from seti.config.schema import check_exp_name
from seti.errors import SetiError, SettingsError
from seti.reports.tuning import RECORD, STUDY, TABLE, report
from seti.training.fold import train
from seti.training.search_space import SET_BY_TRIAL, Dimension, parse_space
from seti.utils import extras, files, locks

log = logging.getLogger(__name__)

MOST_FAILURES = 3  # trials in a row, after which the settings are taken to be wrong

Train = Callable[[list[str]], float]  # trains a fold with words of a command line; its AUC


def tune(cfg: Any, train_fold: Train | None = None) -> float:
    """Search settings until there are enough trials, and report them.

    Several machines may run the same command at once, on a shared folder. A trial that was stopped is taken up again:
    folds that are finished are not trained again.

    Args:
        cfg: the configuration, `conf/tune.yaml`.
        train_fold: trains a fold; None: `seti.training.fold.train`.

    Returns:
        Highest mean AUC of a trial with all folds.

    Raises:
        SetiError: the settings cannot work, the folder holds another study, or training fails.
    """
    optuna = _optuna()
    space = parse_space(OmegaConf.to_container(cfg.space))
    settings, folds, usual = _check(cfg)
    folder = Path(cfg.output_dir) / cfg.name
    files.try_output(folder / STUDY)
    folder.mkdir(parents=True, exist_ok=True)
    study = _open(optuna, folder, cfg)
    _check_identity(study, folder, {"settings": settings, "space": OmegaConf.to_container(cfg.space), "folds": folds})
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(_defaults(space, usual), skip_if_exists=True)
    run = _Trials(optuna, study, folder, space, settings, folds, train_fold or _train)
    failures = 0
    while (trial := run.next(cfg)) is not None:
        failures = 0 if run.carry_out(trial) else failures + 1
        if failures == MOST_FAILURES:
            msg = f"{folder}: {failures} trials in a row failed, the last one: {run.reason}"
            raise SetiError(msg)
        _write(optuna, study, folder, space)
    return report(folder, *_write(optuna, study, folder, space))


class _Trials:
    """Trials of a study, one after the other."""

    def __init__(
        self,
        optuna: Any,
        study: Any,
        folder: Path,
        space: Sequence[Dimension],
        settings: list[str],
        folds: list[int],
        train_fold: Train,
    ) -> None:
        self._optuna, self._study, self._folder = optuna, study, folder
        self._space, self._settings, self._folds, self._train = space, settings, folds, train_fold
        self.reason = ""

    def next(self, cfg: Any) -> Any:
        """Take up a stopped trial, or ask for a new one; None once there are enough."""
        with locks.hold(self._folder, "asking for a trial", name=".ask.lock", patience=60):
            known = self._study.get_trials(deepcopy=False)
            for frozen in known:
                if frozen.state == self._optuna.trial.TrialState.RUNNING and not self._is_at_work(frozen.number):
                    return self._optuna.trial.Trial(self._study, frozen._trial_id)
            waiting = [one for one in known if one.state == self._optuna.trial.TrialState.WAITING]
            if len(known) - len(waiting) >= cfg.trials:
                return None
            # A sampler of its own for each trial: a search that was stopped proposes what it would have proposed.
            seed = cfg.seed + len(known)
            self._study.sampler = self._optuna.samplers.TPESampler(n_startup_trials=cfg.startup, seed=seed)
            return self._study.ask()

    def carry_out(self, trial: Any) -> bool:
        """Train the folds of a trial; return False if it failed."""
        states = self._optuna.trial.TrialState
        chosen = {one.key: one.suggest(trial) for one in self._space}
        name = _name(trial.number)
        path = self._folder / name
        path.mkdir(exist_ok=True)
        words = [*self._settings, *(f"{key}={value}" for key, value in chosen.items())]
        log.info("%s: %s", name, " ".join(words[len(self._settings) :]))
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        scores: list[float] = []
        with locks.hold(path, f"trial {trial.number}", name=".trial.lock"):
            for step, fold in enumerate(self._folds):
                try:
                    scores.append(
                        self._train([*words, f"fold={fold}", f"output_dir={self._folder}", f"exp_name={name}"])
                    )
                except SettingsError:
                    self._study.tell(trial, state=states.FAIL)
                    raise
                except SetiError as error:
                    self.reason = str(error)
                    log.error("%s failed: %s", name, error)
                    self._study.tell(trial, state=states.FAIL)
                    return False
                if step not in known:  # of a trial that is taken up again
                    trial.report(float(np.mean(scores)), step)
                if step < len(self._folds) - 1 and trial.should_prune():
                    said = "%s ends after %d of %d folds: mean AUC %.4f"
                    log.info(said, name, step + 1, len(self._folds), np.mean(scores))
                    self._study.tell(trial, state=states.PRUNED)
                    return True
            self._study.tell(trial, float(np.mean(scores)))
        log.info("%s: mean AUC %.4f over folds %s", name, np.mean(scores), ",".join(map(str, self._folds)))
        return True

    def _is_at_work(self, number: int) -> bool:
        """Check for another process at a trial."""
        path = self._folder / _name(number)
        path.mkdir(exist_ok=True)
        try:
            with locks.hold(path, "looking for a trial to take up", name=".trial.lock"):
                return False
        except locks.LockedError:
            return True


def _optuna() -> Any:
    extras.check_imports("seti tune", "tune", "optuna")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def _check(cfg: Any) -> tuple[list[str], list[int], DictConfig]:
    """Check the settings; return those of the trials, the folds, and training by default."""
    check_exp_name(cfg.name)
    check_range("trials", cfg.trials, 1, None)
    check_range("startup", cfg.startup, 1, None)
    settings, folds = list(cfg.settings), list(cfg.folds)
    for word in settings:
        if word.partition("=")[0].lstrip("+") in SET_BY_TRIAL:
            msg = f"settings: {word} is set by each trial: take it out; tune has folds, name and output_dir"
            raise SettingsError(msg)
    if not folds or len(set(folds)) < len(folds):
        msg = f"folds={folds} must name one fold or more, each once"
        raise SettingsError(msg)
    return settings, folds, _compose(settings)


def _open(optuna: Any, folder: Path, cfg: Any) -> Any:
    backend = optuna.storages.journal.JournalFileBackend(str(folder / STUDY))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=cfg.startup) if cfg.prune else optuna.pruners.NopPruner()
    storage = optuna.storages.JournalStorage(backend)
    return optuna.create_study(
        storage=storage, study_name="seti", direction="maximize", pruner=pruner, load_if_exists=True
    )


def _check_identity(study: Any, folder: Path, identity: dict[str, Any]) -> None:
    """Refuse to go on with a study of other settings."""
    known = study.user_attrs
    for key, value in identity.items():
        if key not in known:
            study.set_user_attr(key, value)
        elif known[key] != value:
            msg = f"{folder} holds a search with {key}={known[key]}, and now {key}={value}: set name to another one"
            raise SettingsError(msg)


def _defaults(space: Sequence[Dimension], cfg: DictConfig) -> dict[str, Any]:
    """Values of the first trial: the defaults of training that the space holds."""
    found = {one.key: one.default(OmegaConf.select(cfg, one.key)) for one in space}
    return {key: value for key, value in found.items() if value is not None}


def _compose(words: list[str]) -> DictConfig:
    return compose_words("train", arguments.to_hydra("train", words))


def _train(words: list[str]) -> float:
    overrides = arguments.to_hydra("train", words)
    return train(compose_words("train", overrides), overrides)


def _write(optuna: Any, study: Any, folder: Path, space: Sequence[Dimension]) -> tuple[pd.DataFrame, dict]:
    """Write a row a trial, and the best of them; return rows and the importance of settings."""
    rows = []
    for one in study.get_trials(deepcopy=False):
        if one.state == optuna.trial.TrialState.WAITING:
            continue
        folds = len(one.intermediate_values)
        last = one.intermediate_values[folds - 1] if folds else np.nan
        values = {dimension.key: one.params.get(dimension.key) for dimension in space}
        state = one.state.name.lower()
        rows.append({"trial": _name(one.number), "state": state, "folds": folds, "auc": last, **values})
    table = pd.DataFrame(rows)
    files.write_csv(folder / TABLE, table)
    importance = _importance(optuna, study)
    done = table[table["state"] == "complete"]
    if not done.empty:
        best = done.loc[done["auc"].idxmax()]
        words = [f"{one.key}={best[one.key]}" for one in space]
        record = {"best": best["trial"], "auc": float(best["auc"]), "settings": words, "trials": len(table)}
        files.write_json(folder / RECORD, record | {"importance": importance})
    return table, importance


def _importance(optuna: Any, study: Any) -> dict[str, float]:
    """Share of the variance that each setting explains (fANOVA); empty for too few trials."""
    try:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError, ZeroDivisionError):
        return {}


def _name(number: int) -> str:
    return f"trial_{number:03d}"
