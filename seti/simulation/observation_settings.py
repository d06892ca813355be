"""Settings of simulated observations, and their limits."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seti.errors import SetiError
from seti.simulation.population import EDGE, Population

FORMATS = ("h5", "fil")
LEAST_SPACING = 64  # bins between two signals of a coarse channel
WIDEST_LINE = 1000.0  # Hz


@dataclass
class CadenceSettings:
    """Group `cadence` of `conf/simulate.yaml`: six filterbank files.

    Not frozen: Hydra composes it, value by value.
    """

    coarse_channels: int = 2
    coarse_width: int = 65536
    rows: int = 16
    needles: int = 12
    decoys: int = 28
    decoy_snr: list[float] = field(default_factory=lambda: [30.0, 300.0])
    max_width_hz: float = 4.0
    curved: float = 0.2
    scintillating: float = 0.3
    format: str = "h5"
    source: str = "HIP99427"


@dataclass
class SnippetSettings:
    """Group `observation` of `conf/simulate.yaml`: a data set of snippets of observations.

    Not frozen: Hydra composes it, value by value.
    """

    rows: int = 16
    bins: int = 256
    straighten: bool = True
    drift_error: float = 0.02
    decoys: float = 0.7
    neighbours: float = 0.3
    decoy_snr: list[float] = field(default_factory=lambda: [10.0, 300.0])
    max_width_hz: float = 4.0
    curved: float = 0.2
    scintillating: float = 0.3


def population_of(settings: Any, limits: dict[str, Any]) -> Population:
    """Limits of random draws, from settings that name them alike.

    Args:
        settings: with `decoy_snr`, `max_width_hz`, `curved` and `scintillating`.
        limits: `snr` and `max_drift_rate`.
    """
    return Population(
        snr=tuple(limits["snr"]),
        decoy_snr=tuple(settings.decoy_snr),
        max_drift_rate=limits["max_drift_rate"],
        max_width_hz=settings.max_width_hz,
        curved=settings.curved,
        scintillating=settings.scintillating,
    )


def check_population(settings: Any, limits: dict[str, Any], group: str) -> None:
    """Refuse limits that cannot work.

    Args:
        settings: as for `population_of`.
        limits: as for `population_of`.
        group: of the settings, with a dot, for the message.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    for name, pair in (("snr", limits["snr"]), (f"{group}decoy_snr", settings.decoy_snr)):
        if len(pair) != 2 or not 0 < pair[0] <= pair[1] < np.inf:
            msg = f"{name}={list(pair)} must be [lowest, highest], both above 0"
            raise SetiError(msg)
    if not 0 <= limits["max_drift_rate"] < np.inf:
        msg = f"max_drift_rate={limits['max_drift_rate']} must be 0 Hz/s or more"
        raise SetiError(msg)
    if not 0 <= settings.max_width_hz <= WIDEST_LINE:
        msg = f"{group}max_width_hz={settings.max_width_hz} must be between 0 and {WIDEST_LINE:g} Hz"
        raise SetiError(msg)
    for name in ("curved", "scintillating"):
        if not 0 <= getattr(settings, name) <= 1:
            msg = f"{group}{name}={getattr(settings, name)} must be a share between 0 and 1"
            raise SetiError(msg)


def check_spacing(signals: int, width: int, name: str) -> None:
    """Refuse more signals in a coarse channel than it holds apart from each other.

    Args:
        signals: number of signals in the coarse channel.
        width: its fine channels.
        name: settings that give the number of signals, for the message.

    Raises:
        SetiError: naming the settings and how many signals there may be.
    """
    most = (width - 2 * EDGE) // LEAST_SPACING
    if signals > most:
        msg = f"{name} put {signals} signals into a coarse channel of {width} fine channels: it holds {max(most, 0)}"
        raise SetiError(msg)


def check_cadence(settings: CadenceSettings, limits: dict[str, Any]) -> None:
    """Refuse settings of six simulated observations that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    for name, least in (("coarse_channels", 1), ("coarse_width", 1024), ("rows", 2), ("needles", 0), ("decoys", 0)):
        if getattr(settings, name) < least:
            msg = f"cadence.{name}={getattr(settings, name)} must be {least} or more"
            raise SetiError(msg)
    if settings.format not in FORMATS:
        msg = f"cadence.format={settings.format!r} must be one of {', '.join(FORMATS)}"
        raise SetiError(msg)
    if not settings.source.strip() or "/" in settings.source:
        msg = f"cadence.source={settings.source!r} must be a name without /, which the files are named after"
        raise SetiError(msg)
    check_population(settings, limits, "cadence.")
    signals = -(-(settings.needles + settings.decoys) // settings.coarse_channels)
    check_spacing(signals, settings.coarse_width, "cadence.needles and cadence.decoys")


def check_snippets(settings: SnippetSettings) -> None:
    """Refuse settings of snippets of observations that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    for name, least in (("rows", 2), ("bins", 32)):
        if getattr(settings, name) < least:
            msg = f"observation.{name}={getattr(settings, name)} must be {least} or more"
            raise SetiError(msg)
    for name in ("decoys", "neighbours"):
        if not 0 <= getattr(settings, name) <= 1:
            msg = f"observation.{name}={getattr(settings, name)} must be a share between 0 and 1"
            raise SetiError(msg)
    if not 0 <= settings.drift_error < np.inf:
        msg = f"observation.drift_error={settings.drift_error} must be 0 Hz/s or more"
        raise SetiError(msg)
