"""Refusal of a scan's settings that cannot work, before any observation is read."""

from dataclasses import fields

from omegaconf import OmegaConf

from seti.config.checks import check_range
from seti.config.commands import ScanConfig
from seti.config.launcher_checks import check_launcher
from seti.config.schema import unknown
from seti.errors import SetiError
from seti.utils.processes import check_workers


def check_scan(cfg: ScanConfig) -> None:
    """Refuse settings that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    for prefix, section in (("", cfg), ("scan.", cfg.scan)):
        kind = OmegaConf.get_type(section)
        for name in section:
            if name not in [one.name for one in fields(kind)]:
                raise SetiError(unknown(f"{prefix}{name}", kind))
    check_range("scan.max_drift", cfg.scan.max_drift, 0.01, 1000, " Hz/s")
    check_range("scan.snr", cfg.scan.snr, 3, None, ": lower ones are noise")
    check_range("scan.score", cfg.scan.score, 0, 1)
    check_range("feed", cfg.feed, 0, None)
    for name in ("cutouts", "figures"):
        if cfg[name] is not None:
            check_range(name, cfg[name], 0, None, "; null: all events")
    if cfg.coarse_width is not None:
        check_range("coarse_width", cfg.coarse_width, 64, None, "; null: from the files' headers")
    check_workers(cfg.workers)
    check_launcher(cfg, "scan")
