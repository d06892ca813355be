"""Writes a release: calibrated weights, their record, and the numbers of the model card."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seti.models.release_files import CARD, Release, write_release
from seti.release.evaluation import fit_calibration, set_scores
from seti.release.fixed_sets import FixedSet
from seti.release.members import Members
from seti.release.progress import member_columns
from seti.utils import files

CALIBRATING = ("stream", "radiometer", "crowded")  # sets; "setigen" is left for a test


def score(members: Members, fixed: FixedSet) -> np.ndarray:
    """Logits of a set by the averages of all members: `(N, members)`."""
    with torch.inference_mode():
        parts = [members.logits(panels.to(members.device)).cpu() for panels, _ in fixed.batches()]
    return torch.cat(parts).numpy()


def publish(members: Members, sets: Sequence[FixedSet], folder: Path, trained: dict[str, Any]) -> list[Release]:
    """Calibrate and score the members, and write a release for each network.

    Args:
        members: trained.
        sets: those named in `CALIBRATING` are calibrated on.
        folder: gets a folder for each network.
        trained: what the record says about the training.
    """
    members.eval()
    logits = [score(members, fixed) for fixed in sets]
    releases = []
    for name, columns in member_columns(members.keys).items():
        network = members.settings.networks[name]
        slope, offset = fit_calibration(
            [
                (scored[:, columns], fixed.truth)
                for fixed, scored in zip(sets, logits, strict=True)
                if fixed.name in CALIBRATING
            ]
        )
        weights = {
            members.keys[column][1]: calibrated(members.averages[column].state_dict(), slope, offset)
            for column in columns
        }
        release = write_release(
            folder / name,
            network["backbone"],
            members.hparams["spec"] | {"normalise": members.normalise_of(name)},
            weights,
            calibration={"slope": slope, "offset": offset, "sets": list(CALIBRATING)},
            trained=trained,
        )
        card = {
            fixed.name: set_scores(slope * scored[:, columns] + offset, fixed.truth)
            for fixed, scored in zip(sets, logits, strict=True)
        }
        files.write_json(release.folder / CARD, {"trained": trained, "sets": card})
        releases.append(release)
    return releases


def calibrated(weights: dict[str, Tensor], slope: float, offset: float) -> dict[str, Tensor]:
    """Fold slope and offset of the logit into the last layer, `fc`."""
    last = {"fc.weight": weights["fc.weight"] * slope, "fc.bias": weights["fc.bias"] * slope + offset}
    return {name: last.get(name, tensor) for name, tensor in weights.items()}


def summary(releases: Sequence[Release]) -> str:
    """One line for each network and set."""
    lines = []
    for release in releases:
        for name, scored in json.loads((release.folder / CARD).read_text())["sets"].items():
            lines.append(
                f"{release.name} on {name}: AUC {scored['auc']:.3f}, recall {scored['at_0.01']['recall']:.3f} at 1 %, "
                f"calibration error {scored['calibration_error']:.3f}"
            )
    return "\n".join(lines)
