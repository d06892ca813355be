"""Validation of a simulation's settings, before anything is drawn or written."""

import difflib

import numpy as np

from seti.errors import SetiError
from seti.simulation.emission import FEATURES
from seti.simulation.settings import SimulationSettings
from seti.simulation.signals import EDGE, MAX_SWING, SHAPES
from seti.simulation.spectra import BINS, DF, DT, PANELS, ROWS, SLEW, WIDEST
from seti.utils.processes import check_workers

WIDEST_FIELD = 16384  # bins; a field is held in memory by every process, 0.4 GB at this width
MOST_RFI = 100  # signals in the width of a cadence


def check_settings(settings: SimulationSettings) -> None:
    """Refuse settings that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    check_sizes(settings)
    check_limits(settings)
    _check_share("shared_backgrounds", settings.shared_backgrounds)
    for name, allowed in (("decoys", ("everywhere", "off_only")), ("background", FEATURES)):
        _check_names(name, getattr(settings, name), allowed)
        for key, share in getattr(settings, name).items():
            _check_share(f"{name}.{key}", share)
    if sum(settings.decoys.values()) > 1 + 1e-9:
        total = sum(settings.decoys.values())
        msg = f"decoys.everywhere and decoys.off_only add up to {total:g}: as shares of one whole they may reach 1"
        raise SetiError(msg)
    for name in ("train_shapes", "test_shapes"):
        shapes = getattr(settings, name)
        _check_names(name, shapes, SHAPES)
        if not all(0 <= weight < np.inf for weight in shapes.values()) or not sum(shapes.values()) > 0:
            msg = f"{name}={shapes} must be weights of 0 or more, with one above 0"
            raise SetiError(msg)
    _check_fields(settings)
    check_drift(settings, PANELS * ROWS * DT + (PANELS - 1) * SLEW[1])


def check_limits(settings: SimulationSettings) -> None:
    """Refuse limits of signals that cannot be drawn within.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    _check_share("complete", settings.complete)
    if len(settings.snr) != 2 or not 0 < settings.snr[0] <= settings.snr[1] < np.inf:
        msg = f"snr={list(settings.snr)} must be [lowest, highest], both above 0"
        raise SetiError(msg)


def check_drift(settings: SimulationSettings, longest: float) -> None:
    """Refuse drift rates that leave the band within a cadence of so many seconds.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    fastest = (BINS - 1 - 2 * EDGE - 2 * MAX_SWING) * DF / longest
    if not 0 <= settings.max_drift_rate <= fastest:
        msg = (
            f"max_drift_rate={settings.max_drift_rate} must be between 0 and {fastest:.3f} Hz/s: "
            f"a faster signal leaves the {BINS} bins within the cadence"
        )
        raise SetiError(msg)


def _check_fields(settings: SimulationSettings) -> None:
    fields = settings.fields
    if not WIDEST <= fields.width <= WIDEST_FIELD:
        msg = f"fields.width={fields.width} must be between {WIDEST} and {WIDEST_FIELD} bins"
        raise SetiError(msg)
    most = fields.width - BINS + 1
    if len(fields.cuts) != 2 or not 2 <= fields.cuts[0] <= fields.cuts[1] <= most:
        msg = f"fields.cuts={list(fields.cuts)} must be [fewest, most], between 2 and {most} for this fields.width"
        raise SetiError(msg)
    if fields.both_splits is not None:
        _check_share("fields.both_splits", fields.both_splits)
    if not 0 <= fields.rfi <= MOST_RFI:
        msg = f"fields.rfi={fields.rfi} must be a number of signals between 0 and {MOST_RFI}"
        raise SetiError(msg)


def check_sizes(settings: SimulationSettings) -> None:
    """Refuse numbers of cadences that cannot work.

    Raises:
        SetiError: naming the setting, its value, and what is allowed.
    """
    for name in ("train", "test", "seed"):
        if getattr(settings, name) < 0:
            msg = f"{name}={getattr(settings, name)} must be 0 or more"
            raise SetiError(msg)
    if settings.train + settings.test == 0:
        msg = "train=0 and test=0 leave nothing to simulate: raise one of them"
        raise SetiError(msg)
    check_workers(settings.workers)
    _check_share("positives", settings.positives)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        msg = f"{name}={value} must be a share between 0 and 1"
        raise SetiError(msg)


def _check_names(name: str, given: dict[str, float], allowed: tuple[str, ...]) -> None:
    for key in given:
        if key not in allowed:
            nearest = difflib.get_close_matches(key, allowed, 1, 0)
            msg = f"{name} has no {key!r}: did you mean {nearest[0]!r}? There are {', '.join(allowed)}"
            raise SetiError(msg)
    missing = [key for key in allowed if key not in given]
    if missing and "shapes" not in name:
        msg = f"{name} lacks {', '.join(missing)}: give every one of {', '.join(allowed)}"
        raise SetiError(msg)
