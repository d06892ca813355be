"""Refusal of a prediction by its settings and paths alone, before torch is imported."""

from pathlib import Path
from typing import Any

from omegaconf import ListConfig, OmegaConf

from seti.config.checks import check_choice, settle_choices
from seti.config.input_checks import check_batch_size, check_num_workers, check_reading
from seti.config.launcher_checks import check_launcher
from seti.data import competition
from seti.errors import SetiError, settings_errors
from seti.experiments.experiment import RELEASED, open_experiment, unset_experiment
from seti.models.release_names import find_release
from seti.utils.precision_names import precision_name
from seti.utils.shards import parse_shard


@settings_errors()
def check_predict(cfg: Any) -> None:
    """Refuse settings that cannot work; write other spellings as they are defined, in place.

    Args:
        cfg: the configuration, `conf/predict.yaml`.

    Raises:
        SettingsError: naming the setting.
    """
    if OmegaConf.is_missing(cfg, "ckpt_dir"):
        raise SetiError(unset_experiment(also=RELEASED))
    experiments = [Path(name) for name in ensembles(cfg.ckpt_dir) if find_release(name) is None]
    _settle(cfg)
    for path in experiments:
        open_experiment(path, RELEASED)
    if cfg.data.root is not None and experiments and cfg.out is None:
        _check_root(Path(cfg.data.root))


def _check_root(root: Path) -> None:
    if not root.is_dir():
        competition.read_test_ids(root)  # names the folder
    if not (root / competition.SUBMISSION).is_file():
        msg = (
            f"{root / competition.SUBMISSION} is missing, which lists the cadences of a test set: add out=<folder> to "
            "score every cadence in that folder, or give the folder of a data set"
        )
        raise SetiError(msg)


def ensembles(given: str | ListConfig) -> list[str]:
    """Return the ensembles that `ckpt_dir` names, one or a list, without duplicates.

    Raises:
        SetiError: it is neither.
    """
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | ListConfig) or not names or not all(isinstance(name, str) for name in names):
        msg = f"ckpt_dir={given} is neither an experiment's folder nor a list: ckpt_dir=[outputs/<a>,outputs/<b>]"
        raise SetiError(msg)
    return list({Path(name).resolve(): name for name in names}.values())


def _settle(cfg: Any) -> None:
    cfg.precision = precision_name(cfg.precision)
    parse_shard(cfg.shard)
    check_launcher(cfg, "predict")
    settle_choices(cfg)
    check_choice("precision", cfg.precision)
    check_batch_size(cfg.data)
    check_num_workers(cfg.data)
    check_reading(cfg.data)
    check_choice("average", cfg.average)
    check_choice("compile", cfg.compile)
    if cfg.threads is not None and cfg.threads < 1:
        msg = f"threads={cfg.threads} must be at least 1, or null for all cores"
        raise SetiError(msg)
