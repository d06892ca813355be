"""Networks of the user's own as judges, trained on snippets of simulated observations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from seti.data.cadence import OFF_PANELS, ON_PANELS
from seti.errors import SetiError
from seti.experiments.experiment import open_experiment
from seti.inference.predict import load_folds
from seti.models.classifier import CadenceClassifier
from seti.search.compiled import compiled
from seti.search.flatten import expand
from seti.search.hits import Times
from seti.search.judge_features import plausible
from seti.transforms.batch import fill
from seti.transforms.input_spec import InputSpec
from seti.transforms.panels import Cadence

BATCH = 16  # candidates


def check_networks(ckpt_dir: Path, rows: int) -> str:
    """Refuse an experiment whose networks cannot judge observations of that many rows.

    Returns:
        A text that identifies the networks.

    Raises:
        SetiError: it has no finished fold; its networks were trained on panels of another length, or on raw power.
    """
    experiment = open_experiment(ckpt_dir)
    spec = load_folds(experiment)[0].spec
    if spec.rows != rows:
        msg = (
            f"ckpt_dir={ckpt_dir} was trained on panels of {spec.rows} rows, and the observations have {rows}: train "
            f"on cadences of {rows} rows (experiment=judge), or set ckpt_dir=null for the judge that comes with seti"
        )
        raise SetiError(msg)
    if spec.normalise == "none":
        msg = (
            f"ckpt_dir={ckpt_dir} was trained with data.normalise=none, and candidates have no raw power: train with "
            "data.normalise=whiten (experiment=judge), or set ckpt_dir=null for the judge that comes with seti"
        )
        raise SetiError(msg)
    stamps = [experiment.checkpoint(fold).stat() for fold in experiment.results]
    return " ".join(
        f"{fold}:{stat.st_size}:{stat.st_mtime_ns}" for fold, stat in zip(experiment.results, stamps, strict=True)
    )


@dataclass(frozen=True)
class OwnNetworks:
    """Mean probability of an experiment's folds."""

    folds: Sequence[CadenceClassifier]
    spec: InputSpec

    @classmethod
    def of(cls, ckpt_dir: Path) -> "OwnNetworks":
        """Load the finished folds of an experiment."""
        folds = load_folds(open_experiment(ckpt_dir))
        return cls(folds, folds[0].spec)

    @torch.inference_mode()
    def __call__(self, planes: np.ndarray, candidates: pd.DataFrame, times: Times) -> np.ndarray:
        """Probabilities of the plausible candidates, NaN for others."""
        score = np.full(len(candidates), np.nan)
        if times.on.sum() != len(ON_PANELS) or len(times.on) != len(ON_PANELS) + len(OFF_PANELS):
            return score
        chosen = np.flatnonzero(plausible(candidates, times.on))
        maker = self.spec.image_maker()
        for first in range(0, len(chosen), BATCH):
            part = chosen[first : first + BATCH]
            panels = snippets(planes, candidates.iloc[part], times, self.spec.bins)[:, list(maker.numbers)]
            cadences = [Cadence(None, one, np.asarray(maker.numbers), np.nan) for one in panels]
            images = torch.zeros((len(part), *maker.shape(*panels.shape[2:])))
            fill(images, cadences, maker)
            score[part] = torch.stack([torch.sigmoid(fold(images)) for fold in self.folds]).mean(0).reshape(-1).numpy()
        return score


def snippets(planes: np.ndarray, candidates: pd.DataFrame, times: Times, bins: int) -> np.ndarray:
    """Cut the data along tracks, each row shifted by whole bins, as simulated snippets are.

    Args:
        planes: `(6, rows, width)`, flattened and without masked bins.
        candidates: with the columns p0, p1, p2 of a track.
        times: of the cadence.
        bins: width of a snippet.

    Returns:
        `(n, 6, rows, bins)` float32 in units of the noise, ON panels in places 0, 2 and 4, the track in the middle.
    """
    on = times.on
    order = np.empty(len(on), int)
    order[list(ON_PANELS)], order[list(OFF_PANELS)] = np.flatnonzero(on), np.flatnonzero(~on)
    p0, p1, p2 = candidates[["p0", "p1", "p2"]].to_numpy(float).T[..., None, None]
    first = np.rint(p0 + times.u * (p1 + times.u * p2)).astype(np.int64) - bins // 2
    out = np.zeros((len(candidates), *planes.shape[:2], bins), np.float32)
    _cut(planes, first, order, out)
    return expand(out).astype(np.float32)


@compiled()
def _cut(planes, first, order, out):
    width = planes.shape[2]
    for n in range(out.shape[0]):
        for place in range(out.shape[1]):
            p = order[place]
            for r in range(out.shape[2]):
                for j in range(out.shape[3]):
                    b = first[n, p, r] + j
                    if 0 <= b < width:
                        out[n, place, r, j] = planes[p, r, b]
