"""Tiny data sets, trainers and assertions for unit tests."""

import json
import signal
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from seti.cli import program as entry
from seti.data.competition import cadence_path
from seti.data.sources import CadenceFiles
from seti.dataloading.dataset import CadenceDataset
from seti.experiments import predictions, provenance
from seti.experiments.experiment import Experiment
from seti.transforms.panel_augmentation import panels_to_read

ROWS, BINS = 8, 12
NO_AUGMENT = {
    "flip_frequency": 0.0,
    "flip_time": 0.0,
    "affine": 0.0,
    "shift": 0.0,
    "scale": 0.0,
    "rotate": 0.0,
    "crop": 0.0,
    "crop_scale": [0.8, 1.0],
    "cutout": 0.0,
    "cutout_size": [0.2, 0.2],
    "cutout_holes": 1,
    "swap_off": 0.0,
    "shuffle_on": 0.0,
    "shuffle_off": 0.0,
    "roll": 0.0,
    "inject": 0.0,
    "inject_decoys": 0.0,
    "inject_shapes": ["line", "sine", "wiggle", "dashes", "blip"],
    "inject_snr": [10, 100],
    "inject_drift": 32,
    "inject_gap": [0, 56],
    "inject_cleaned": None,
}
DATA = {
    "n_folds": 3,
    "fold_seed": 1,
    "folds": None,
    "panels": "A",
    "layout": "channel",
    "image_size": None,
    "interpolation": "linear",
    "batch_size": 4,
    "balanced": False,
    "num_workers": 0,
    "packed": "auto",
    "pack_dir": None,
    "on_error": "raise",
    "augment_on": "auto",
    "normalise": "none",
    "clip": None,
    "remove_spike": False,
    "dedoppler": {"max_drift": 8, "drifts": 9, "gap": [0, 2]},
}


def files_dataset(root: Path, split: str, ids, targets, spec, augment=None, on_device=False) -> CadenceDataset:
    """A dataset over cadence files, which are not looked at before they are read."""
    panels = panels_to_read(spec.panels, augment)
    source = CadenceFiles(root, split, np.asarray(ids), panels, (spec.rows, spec.bins))
    return CadenceDataset(source, targets, spec, augment, on_device)


def make_cadences(root: Path, split: str, ids: list[str], rows: int = ROWS, bins: int = BINS) -> np.ndarray:
    """Write random float16 cadences and return them, `(N, 6, rows, bins)`."""
    cadences = np.random.default_rng(len(ids)).normal(size=(len(ids), 6, rows, bins)).astype(np.float16)
    for cadence_id, cadence in zip(ids, cadences, strict=True):
        path = root / split / cadence_id[0] / f"{cadence_id}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, cadence)
    return cadences


def make_train_set(root: Path, count: int, positives: int, **shape: int) -> pd.DataFrame:
    """Write a training set whose first cadences are positive; return its label table, sorted by id."""
    ids = [f"{number % 16:x}{number:04d}" for number in range(count)]
    make_cadences(root, "train", ids, **shape)
    table = pd.DataFrame({"id": ids, "target": [int(n < positives) for n in range(count)]})
    table.to_csv(root / "train_labels.csv", index=False)
    return table.sort_values("id", ignore_index=True)


def quiet_trainer(**settings) -> pl.Trainer:
    """Create a Trainer that writes and prints nothing."""
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(**(quiet | settings))


def seal(path: Path) -> None:
    """Rewrite an experiment's records to match its hand-made or changed files."""
    for result_path in path.glob("fold_*/result.json"):
        folder = Experiment(path).fold(int(result_path.parent.name.removeprefix("fold_")))
        if not folder.best_checkpoint.exists():
            folder.best_checkpoint.parent.mkdir(exist_ok=True)
            folder.best_checkpoint.write_text(f"weights of {folder.path}")
        result = {"best_epoch": 0, "overrides": None, "seconds": 1.0, "versions": {"seti": provenance.version("seti")}}
        result |= json.loads(result_path.read_text())
        result |= provenance.record(folder.path, folder.best_checkpoint, folder.oof)
        result_path.write_text(json.dumps(result))


def seal_predictions(path: Path) -> None:
    """Write `predictions.json` to match a hand-made or changed table of predictions."""
    experiment = Experiment(path)
    table = pd.read_csv(experiment.predictions_path, dtype={"id": str})
    experiment.submission_path.write_text("id,target\n")
    record = predictions.describe_predictions(experiment, path, table["id"], "32")
    record["checkpoints"] = {k: v for k, v in record["checkpoints"].items() if f"fold_{k}" in table}
    experiment.predictions_record.write_text(json.dumps(record))


def assert_ended(monkeypatch, owner, name, call, program, capsys) -> None:
    """Assert that SIGTERM in a function's given call ends a program with one line and exit code 143."""
    original, calls = getattr(owner, name), []

    def signalled(*args, **options):
        calls.append(args)
        if len(calls) == call:
            signal.raise_signal(signal.SIGTERM)
        return original(*args, **options)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, signalled)
        with pytest.raises(SystemExit) as ended:
            entry.command(lambda _: program())(None)
    assert ended.value.code == 143
    assert capsys.readouterr().err == "terminated: the same command goes on with what is there\n"


def losses(folder):
    """Read the history without timings."""
    return pd.read_csv(folder / "metrics.csv").drop(columns="seconds")


def assert_same_run(one, other):
    """Assert that two runs of a fold have equal histories and byte-identical probabilities."""
    pd.testing.assert_frame_equal(losses(one), losses(other), check_exact=True)
    assert (one / "oof.csv").read_bytes() == (other / "oof.csv").read_bytes()


def forward(checkpoint, root, split, ids):
    """Predict with a network built here independently, on A panels stacked and shrunk to 24 x 32."""
    import cv2
    import timm

    network = timm.create_model("test_resnet.r160_in1k", in_chans=1, num_classes=1)
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("backbone.network."): value for name, value in weights.items()})
    network.eval()
    images = []
    for cadence_id in ids:
        panels = np.load(cadence_path(root, split, cadence_id))[[0, 2, 4]].astype(np.float32)
        images.append(cv2.resize(panels.reshape(-1, 256), (32, 24), interpolation=cv2.INTER_LINEAR))
    with torch.no_grad():
        return network(torch.from_numpy(np.stack(images))[:, None])[:, 0].sigmoid().double().numpy()


def typed(name, value):
    """The `trainer` settings with one that is typed on the command line, by Hydra's grammar."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    given = OverridesParser.create().parse_override(f"trainer.{name}={value}").value()
    usual = {"accelerator": "cpu", "max_epochs": 1, "gradient_clip_val": None}
    return OmegaConf.create(usual | {name: given})
