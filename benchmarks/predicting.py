"""Prediction with five folds: one float32 pass per fold, or one shared pass."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import reference
import torch
from measure import Row, Turns
from sklearn.metrics import roc_auc_score
from torch import nn

from seti.data import competition
from seti.data.cadence import ON_PANELS, PANEL_CHOICES
from seti.data.splits import open_split
from seti.dataloading.dataset import CadenceDataset
from seti.dataloading.loader import make_loader
from seti.inference import ensemble
from seti.inference.ensemble import auto_batch_size, predict_probabilities
from seti.models.classifier import CadenceClassifier, load_classifier
from seti.transforms.input_spec import InputSpec
from seti.utils.device import choose_device

FOLDS = 5
GETTING_READY = "making the networks ready takes {:.2g} s once, apart"
OPTIONS = {"optimizer": {"lr": 1e-3, "weight_decay": 0.0}, "schedule": {}, "mixup": None}


def trained_tiny(experiment: Path) -> list[CadenceClassifier]:
    """Load the folds of an experiment that was trained for a few epochs."""
    return [load_classifier(path) for path in sorted(experiment.glob("fold_*/checkpoints/best.ckpt"))]


def settled_network(backbone: str, spec: InputSpec, images: torch.Tensor, seed: int) -> CadenceClassifier:
    """Build a random network with the data's batch statistics and logits of deviation 1.

    Fresh statistics and a fresh head give nearly the same number for every image, whatever the precision.
    """
    torch.manual_seed(seed)
    model = {"backbone": backbone, "pretrained": False, "weights": None, "freeze_backbone": False}
    made = CadenceClassifier(spec=spec.plain(), model=model, **OPTIONS)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5
    with torch.inference_mode():
        for part in images.split(8):
            made.train()(part)
        logits = made.eval()(images)
        made.backbone.head.weight.div_(logits.std())
        made.backbone.head.bias.copy_(-(logits / logits.std()).mean())
    return made


def row(
    stage: str,
    root: Path,
    classifiers: list[CadenceClassifier],
    count: int,
    rounds: int,
    wanted: str,
    device: str = "cpu",
) -> Row:
    """Predict some test cadences in both ways."""
    ids = competition.read_test_ids(root).to_numpy()[:count]
    spec = classifiers[0].spec
    paths = [competition.cadence_path(root, "test", i) for i in ids]
    images = reference.Images(paths, reference.transforms(tuple(spec.image_size), spec.interpolation))
    target = choose_device(device)
    plain = [copy.deepcopy(c.backbone).to(memory_format=torch.contiguous_format).to(target) for c in classifiers]
    source = open_split(root, "test", ids, PANEL_CHOICES[spec.panels]).source
    dataset = CadenceDataset(source, None, spec, on_device=target.type == "cuda")
    batches = make_loader(dataset, auto_batch_size(dataset, target), reference.WORKERS)
    turns = Turns(
        {
            "ordinary": lambda: reference.predict(plain, images, device=target),
            "ours": lambda: predict_probabilities(classifiers, batches, target, "auto", stage, halve=True),
        },
        len(ids),
        rounds,
    )
    with readiness() as ready:
        seconds = turns.seconds(warm=count > 100)
    # A run over 40,000 cadences hardly notices it; here it would hide the rate.
    apart = ready[-rounds:]
    seconds["ours"] = [spent - before / len(ids) for spent, before in zip(seconds["ours"], apart, strict=True)]
    expected, found = turns.last["ordinary"], turns.last["ours"]
    labels = competition.read_test_labels(root).set_index("id").loc[ids, "target"]
    auc = [roc_auc_score(labels, probs.mean(axis=1)) for probs in (expected, found)]
    off = f"probabilities off by {np.abs(found - expected).max():.1e}, AUC by {abs(auc[0] - auc[1]):.1e}"
    note = f"{off}; {GETTING_READY.format(np.median(apart))}"
    return Row(stage, seconds["ours"], seconds["ordinary"], unit="ms/cadence", wanted=wanted, note=note)


@contextmanager
def readiness() -> Iterator[list[float]]:
    """Return the seconds per prediction spent on folding and on choosing the precision."""
    spent: list[float] = []
    begin = ensemble.Ensemble.__init__

    def timed(*args: object) -> None:
        started = time.perf_counter()
        begin(*args)
        spent.append(time.perf_counter() - started)

    ensemble.Ensemble.__init__ = timed
    try:
        yield spent
    finally:
        ensemble.Ensemble.__init__ = begin


def rows(root: Path, tiny: Path, rounds: int, few: int) -> list[Row]:
    """Time both networks on the CPU."""
    return [
        row("prediction, 5 folds of tiny, 96 x 128", root, trained_tiny(tiny), 10**6, rounds, "4 x"),
        row("prediction, 5 folds of effnet_b1, 512 x 512", root, settled_networks(root), few, min(rounds, 2), "2 x"),
    ]


def settled_networks(root: Path, side: int = 512) -> list[CadenceClassifier]:
    """Build five large networks; smaller images suffice for their batch statistics."""
    ids = competition.read_test_ids(root).to_numpy()[:16]
    dataset = CadenceDataset(open_split(root, "test", ids, ON_PANELS).source, None, _spec(root, side // 2))
    images = dataset.__getitems__(list(range(len(ids))))[0]
    return [settled_network("efficientnet_b1", _spec(root, side), images, seed) for seed in range(FOLDS)]


def rows_on_gpu(root: Path, rounds: int, side: int) -> list[Row]:
    """Time the large network on the GPU."""
    networks = settled_networks(root, side)
    device = "cuda" if torch.cuda.is_available() else "cpu"  # a rehearsal
    return [row("prediction, 5 folds of effnet_b1, 512 x 512", root, networks, 10**6, rounds, "", device)]


def _spec(root: Path, side: int) -> InputSpec:
    first = competition.cadence_path(root, "test", competition.read_test_ids(root)[0])
    _, rows, bins = np.load(first, mmap_mode="r").shape
    return InputSpec("A", "spatial", [side, side], "linear", rows, bins)
