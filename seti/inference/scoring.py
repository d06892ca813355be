"""Scores of any cadences by an ensemble, from Python.

from seti.inference.scoring import load_ensemble
from seti.reports.waterfalls import draw_cadence

ensemble = load_ensemble("pretrained")  # the released networks, or "outputs/<exp_name>": your own
scores = ensemble.score(cadences)  # (N, 6, rows, bins) to (N,) probabilities
table = ensemble.score_folder("data")  # columns id, one a fold, and prob
draw_cadence(cadences[0], id="first", score=scores[0]).savefig("first.png")
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from seti.data.cadence import PANEL_CHOICES, PANEL_LETTERS
from seti.data.cleaned_set import check_networks
from seti.data.folder import open_folder
from seti.data.oddities import warn_of_unscorable
from seti.data.sources import CadenceArray, CadenceSource
from seti.data.splits import INSTEAD
from seti.dataloading.dataset import CadenceDataset
from seti.dataloading.loader import make_loader
from seti.errors import SetiError, brief
from seti.experiments.experiment import RELEASED, Experiment, open_experiment
from seti.inference import tables
from seti.inference.ensemble import auto_batch_size, predict_probabilities
from seti.models.classifier import CadenceClassifier, load_classifier
from seti.models.release_files import read_release
from seti.models.release_names import find_release
from seti.models.released import load_released
from seti.transforms.input_spec import InputSpec
from seti.utils.console import progress_bars
from seti.utils.device import choose_device, choose_precision, memory_errors
from seti.utils.wording import count

RELEASE_PRIOR = 0.1  # share of needles that the calibration of released networks assumes


@dataclass(frozen=True, repr=False)
class LoadedEnsemble:
    """Networks of one kind, a member a fold, whose mean probability is the score.

    Attributes:
        name: of the release or experiment.
        classifiers: the members, in evaluation mode.
        folds: number of the fold that each member did not train on.
        digests: SHA-256 of each member's weights, by fold.
        spec: input of the networks.
        any_size: panels may have other numbers of rows and bins than those of `spec`.
        prior: share of needles that a cadence is expected to have, for one that cannot be read.
        fingerprint: of the labelled cadences of an experiment.
    """

    name: str
    classifiers: list[CadenceClassifier]
    folds: list[int]
    digests: dict[str, str]
    spec: InputSpec
    any_size: bool
    prior: float
    fingerprint: str = ""

    def __repr__(self) -> str:
        """Name, networks and size of the panels, in one line."""
        networks = f"{count(len(self.folds), 'network')} {self.classifiers[0].backbone.name}"
        size = f"{self.spec.rows} x {self.spec.bins}"
        return f"<ensemble {self.name}: {networks}, trained on panels of {size}>"

    @property
    def panels(self) -> tuple[int, ...]:
        """Numbers, 0 to 5, of the panels that the networks take in."""
        return PANEL_CHOICES[self.spec.panels]

    def check_folder(self, root: Path) -> None:
        """Refuse cleaned cadences that the networks cannot score.

        Raises:
            SetiError: see `seti.data.cleaned_set.check_networks`.
        """
        check_networks(root, self.name, self.spec.normalise, self.fingerprint)

    def spec_for(self, rows: int, bins: int) -> InputSpec:
        """Input made from panels of a size, where the networks take in any; else their own.

        Raises:
            SetiError: a panel has too few rows.
        """
        return self.spec.for_panels(rows, bins) if self.any_size else self.spec

    def score(
        self,
        cadences: np.ndarray,
        *,
        device: str = "auto",
        precision: str = "auto",
        flips: bool = False,
        progress: bool = False,
    ) -> np.ndarray:
        """Score cadences in memory.

        Args:
            cadences: `(N, 6, rows, bins)`, or `(6, rows, bins)` for one; floats of 2, 4 or 8 bytes, panels in
                the order ABACAD. Not cadences whose repeated backgrounds are subtracted. The released networks take
                any scale that 32-bit floats hold, 1e-37 to 1e36; others that of the cadences they were trained on,
                unless `data.normalise` sets it.
            device: `auto`, `cpu`, `cuda` or `cuda:1`.
            precision: `auto`, `32`, `bf16-mixed` or `16-mixed`.
            flips: average over four mirrored views.
            progress: show a progress bar.

        Returns:
            `(N,)` float64 probabilities of a needle, or one number.

        Raises:
            SetiError: the shape is another one, a value is not finite or beyond 32-bit floats, or the networks take in
                panels of another size.
        """
        cadences = _as_array(cadences)
        if cadences.shape[:1] == (0,) and cadences.shape[1:2] in ((), (len(PANEL_LETTERS),)):
            return np.zeros(0)
        many = cadences[None] if cadences.ndim == 3 else cadences
        source = CadenceArray(many, self.panels)
        warn_of_unscorable(source, self.spec.normalise, range(len(source)))
        with progress_bars(progress):
            probs = self.probabilities(source, device, precision, flips)
        return probs.mean(axis=1).reshape(cadences.shape[:-3])[()]

    def score_folder(
        self,
        root: str | Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        flips: bool = False,
        on_error: str = "raise",
        progress: bool = False,
    ) -> pd.DataFrame:
        """Score the cadences of a folder, see `seti.data.folder.open_folder`.

        Args:
            root: the folder.
            device, precision, flips, progress: as for `score`.
            on_error: `raise` on a damaged cadence, or `skip` leaves its scores empty.

        Returns:
            Columns `id`, `fold_<k>` of every member and `prob`, their mean.

        Raises:
            SetiError: there is no cadence, one is damaged, the networks take in panels of another size, or they cannot
                score cadences whose repeated backgrounds are subtracted.
        """
        root = _as_path(root, "score_folder takes the path of a folder")
        if on_error not in ("raise", "skip"):
            msg = f"on_error={on_error!r} is none of 'raise', 'skip'"
            raise SetiError(msg)
        self.check_folder(root)
        with progress_bars(progress), _advice_for_python():
            opened = open_folder(root, self.panels, on_error=on_error)
            warn_of_unscorable(opened.source, self.spec.normalise)
            probs = self.probabilities(opened.source, device, precision, flips)
        return tables.join(opened.ids, opened.source.ids, self.folds, probs, probs.mean(axis=1))

    def dataset(self, source: CadenceSource, device: torch.device) -> CadenceDataset:
        """Cadences of a source as the networks take them in."""
        spec = self.spec_for(source.rows, source.bins)
        return CadenceDataset(source, None, spec, on_device=device.type == "cuda")

    def probabilities(
        self,
        source: CadenceSource,
        device: str = "auto",
        precision: str = "auto",
        flips: bool = False,
        batch_size: int | None = None,
        workers: int = 0,
        **options: Any,
    ) -> np.ndarray:
        """Run every member over every cadence of a source.

        Args:
            source: N cadences.
            device, precision, flips: as for `score`.
            batch_size: cadences in a batch; None chooses, and on a GPU halves batches that do not fit.
            workers: processes that read for a GPU.
            options: more arguments of `seti.inference.ensemble.predict_probabilities`.

        Returns:
            `(N, members)` float64 probabilities.

        Raises:
            SetiError: as `score`.
        """
        place = choose_device(device)
        choose_precision(precision, place)
        dataset = self.dataset(source, place)
        size = batch_size or auto_batch_size(dataset, place)
        label = f"{self.name}: {count(len(self.folds), 'network')}"
        with memory_errors(f"data.batch_size={size}"):
            probs = predict_probabilities(
                self.classifiers,
                make_loader(dataset, size, workers if place.type == "cuda" else 0),
                place,
                precision,
                label,
                flips=flips,
                halve=batch_size is None,
                **options,
            )
        for classifier in self.classifiers:
            classifier.cpu()
        return probs


def load_ensemble(ckpt_dir: str | Path = "pretrained") -> LoadedEnsemble:
    """Load an ensemble of trained networks.

    Args:
        ckpt_dir: `pretrained`, `pretrained/<name>` or the folder of a release; or the folder of an experiment, of which
            every finished fold is a member.

    Raises:
        SetiError: there is no such ensemble, its weights are damaged or of another program, or its folds differ.
    """
    ckpt_dir = _as_path(ckpt_dir, "load_ensemble takes 'pretrained' or the path of one folder, outputs/<exp_name>")
    name = find_release(ckpt_dir)
    if name is not None:
        release = read_release(name)
        classifiers = [classifier for classifier, _ in load_released(name)]
        digests = {str(fold): release.sums[path.name] for fold, path in release.folds.items()}
        spec = classifiers[0].spec
        return LoadedEnsemble(release.name, classifiers, list(release.folds), digests, spec, True, RELEASE_PRIOR)
    experiment = open_experiment(Path(ckpt_dir), RELEASED)
    classifiers = load_folds(experiment)
    digests = {str(fold): result.files[result.checkpoint] for fold, result in experiment.results.items()}
    prior, learned = experiment.first_result.positive_share, experiment.first_result.data.fingerprint
    spec, folds = classifiers[0].spec, experiment.finished_folds()
    return LoadedEnsemble(experiment.name, classifiers, folds, digests, spec, False, prior, learned)


def _as_array(cadences: object) -> np.ndarray:
    """Return cadences as an array; of none, as an empty one.

    Raises:
        SetiError: they are a path, nothing, or arrays of several sizes.
    """
    if cadences is None or isinstance(cadences, str | bytes | Path):
        given = "None" if cadences is None else f"the path {cadences!s}"
        msg = f"score takes an array, (N, {len(PANEL_LETTERS)}, rows, bins), not {given}: score_folder takes a path"
        raise SetiError(msg)
    try:
        array = np.asarray(cadences)
    except ValueError as error:
        shapes = sorted({str(np.shape(cadence)) for cadence in cadences})
        msg = f"cadences have the shapes {brief(', '.join(shapes))}: give those of one size together, or one by one"
        raise SetiError(msg) from error
    if array.ndim == 0:
        msg = f"score takes an array, (N, {len(PANEL_LETTERS)}, rows, bins), not {brief(repr(cadences))}"
        raise SetiError(msg)
    if array.dtype == object:
        msg = f"cadences hold {type(array.flat[0]).__name__ if array.size else 'objects'}, not numbers: give floats"
        raise SetiError(msg)
    return array


def _as_path(given: object, takes: str) -> Path:
    if not isinstance(given, str | Path):
        msg = f"{takes}, not {brief(repr(given))}"
        raise SetiError(msg)
    return Path(given)


@contextmanager
def _advice_for_python() -> Iterator[None]:
    """Name arguments in place of settings of the command line, in errors of the block."""
    try:
        yield
    except SetiError as error:
        message = str(error).removeprefix("data.root=").replace(INSTEAD, ', or give on_error="skip"')
        if message == str(error):
            raise
        raise SetiError(message) from error


def load_folds(experiment: Experiment) -> list[CadenceClassifier]:
    """Load the best checkpoint of every finished fold, in order.

    Raises:
        SetiError: a checkpoint is missing or damaged, or the folds have different input specs.
    """
    classifiers = [load_classifier(experiment.checkpoint(fold)) for fold in experiment.results]
    for fold, classifier in zip(experiment.results, classifiers, strict=True):
        if classifier.spec != classifiers[0].spec:
            msg = (
                f"{experiment.path}: the checkpoint of fold {fold} has the input {classifier.spec}, the first one "
                f"{classifiers[0].spec}: train that fold again with force=true"
            )
            raise SetiError(msg)
    return classifiers
