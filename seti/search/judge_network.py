"""Network of the judge, in numpy.

It is so small that importing torch would take longer than judging a coarse channel.

The same dense layers read every panel: its plane (extra drift rate by frequency) around the track in full, the plane's
wider surroundings as maxima, its brightness over time, and what stage one measured. Means and extremes of these
features over the ON panels and over the OFF panels, with the numbers of the whole candidate, are the input of the last
layers. So the result does not change if ON panels are swapped with each other, or OFF panels with each other.
"""

import json
import zipfile
from pathlib import Path

import numpy as np

from seti.errors import SetiError
from seti.search.judge_features import DRIFTS, REACH

Weights = dict[str, np.ndarray]
ON_PANELS = 3  # of six
COLUMNS = 2 * REACH + 1
CENTRE = slice(REACH - 10, REACH + 11)  # columns that are read in full
WIDE = [slice(first, first + 9) for first in range(0, COLUMNS - 8, 4)]  # of the others, the largest value each


def read_weights(path: Path) -> tuple[list[Weights], dict[str, float]]:
    """Read the networks of a judge, and its settings; no code in the file can run.

    Raises:
        SetiError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        settings = json.loads(str(arrays.pop("settings")))
        members: list[Weights] = [{} for _ in range(int(settings["members"]))]
        for name, value in arrays.items():
            number, _, rest = name.partition("/")
            members[int(number)][rest] = np.asarray(value, np.float32)
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        msg = f"the judge's weights {path} cannot be read ({error}): install seti again, or set ckpt_dir=none"
        raise SetiError(msg) from error
    return members, settings


def probabilities(
    members: list[Weights], of_panels: np.ndarray, of_whole: np.ndarray, slope: float = 1.0, offset: float = 0.0
) -> np.ndarray:
    """Probability that each candidate is a signal of the target, `(n,)`.

    Args:
        members: networks, whose log-odds are averaged.
        of_panels, of_whole: of `judge_features.features`.
        slope, offset: of the calibration, applied to the log-odds.
    """
    inputs = panel_inputs(of_panels)
    odds = np.mean([log_odds(member, inputs, of_whole) for member in members], axis=0, dtype=float)
    return 1 / (1 + np.exp(-np.clip(slope * odds + offset, -30, 30)))


def panel_inputs(of_panels: np.ndarray) -> np.ndarray:
    """Input of the first layer for each panel, `(n, panels, inputs)`."""
    size = len(DRIFTS) * COLUMNS
    planes = of_panels[..., :size].reshape(*of_panels.shape[:2], len(DRIFTS), COLUMNS)
    wide = np.stack([planes[..., part].max(-1) for part in WIDE], axis=-1)
    parts = [planes[..., CENTRE], wide, of_panels[..., size:]]
    return np.concatenate([part.reshape(*of_panels.shape[:2], -1) for part in parts], axis=-1)


def log_odds(weights: Weights, inputs: np.ndarray, of_whole: np.ndarray) -> np.ndarray:
    """Log-odds by one network, `(n,)`, from `panel_inputs` and the numbers of the whole."""
    read = _relu(_dense(weights, "panel_2", _relu(_dense(weights, "panel_1", inputs))))
    on, off = read[:, :ON_PANELS], read[:, ON_PANELS:]
    compared = np.concatenate([on.mean(1), on.max(1), on.min(1), off.mean(1), off.max(1), of_whole], axis=1)
    out = _dense(weights, "head_2", _relu(_dense(weights, "head_1", compared)))[:, 0]
    return out + weights["stage_one"] * np.sinh(of_whole[:, -1])


def _dense(weights: Weights, name: str, values: np.ndarray) -> np.ndarray:
    return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0, out=values)
