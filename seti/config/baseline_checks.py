"""Checks of the settings of `baseline`."""

from pathlib import Path
from typing import Any

from seti.config.checks import check_choice, check_range
from seti.config.commands import BaselineConfig
from seti.config.input_checks import check_groups
from seti.config.schema import check_exp_name
from seti.errors import SetiError, settings_errors

SCORES = ("brightness", "residual")


@settings_errors()
def check_baseline(cfg: BaselineConfig) -> dict[str, Any]:
    """Refuse settings that cannot work; returns the `data` settings as plain values.

    Raises:
        SettingsError: naming the setting, its value, and what is allowed.
    """
    if cfg.score not in SCORES:
        msg = f"score={cfg.score} is none of {', '.join(SCORES)}"
        raise SetiError(msg)
    check_exp_name(Path(cfg.out).resolve().name)
    check_range("data.fold_seed", cfg.data.fold_seed, 0, 2**32 - 1)
    check_range("data.n_folds", cfg.data.n_folds, 2, None)
    if cfg.data.folds is not None:
        check_choice("data.folds", cfg.data.folds, "; null draws stratified folds")
    check_groups(cfg.data)
    return {key: cfg.data[key] for key in ("root", "n_folds", "fold_seed", "folds", "groups")}
