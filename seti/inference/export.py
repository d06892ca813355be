"""Export of an ensemble: a file from panels to probabilities for other programs.

Normalisation, de-Doppler planes, resizing and all networks are in the file. Not in it: reading files, the number of
rows and bins, which is fixed, and mirrored views (`flips=true` of `predict`).
"""

import json
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seti.data.sources import CadenceArray
from seti.errors import SetiError, SettingsError, brief
from seti.experiments.experiment import Experiment
from seti.inference.predict_checks import ensembles
from seti.inference.scoring import LoadedEnsemble, load_ensemble
from seti.models.release_names import find_release
from seti.transforms.exportable import PanelsToImages
from seti.utils import files, hints
from seti.utils.console import progress_bars

log = logging.getLogger(__name__)

FORMATS = {"onnx": "onnx", "torch": "pt2"}  # suffixes
MEMBERS = ("mean", "each")
TOLERANCE = 1e-5  # largest difference of a probability between the file and the networks
EXTRA = ("onnx", "onnxscript", "onnxruntime")
TRIED = 3  # cadences that both score


class ExportedEnsemble(nn.Module):
    """Networks with the preparation of their input: panels in, probability out.

    Args:
        ensemble: the networks, which are not modified.
        places: which of its members; their probabilities are averaged.
        size: `(rows, bins)` of every panel.
    """

    def __init__(self, ensemble: LoadedEnsemble, places: Sequence[int], size: tuple[int, int]) -> None:
        super().__init__()
        self.images = PanelsToImages(ensemble.spec_for(*size))
        self.members = nn.ModuleList(ensemble.classifiers[place].backbone for place in places)

    def forward(self, panels: Tensor) -> Tensor:
        """Map panels `(B, 6, rows, bins)` float32 to probabilities of a needle `(B,)`."""
        images = self.images(panels)
        return torch.stack([member(images).sigmoid() for member in self.members]).mean(dim=0)


def export(cfg: Any) -> list[Path]:
    """Write an ensemble as files that other programs run.

    Args:
        cfg: the configuration, `conf/export.yaml`.

    Returns:
        The files' paths.

    Raises:
        SetiError: a setting cannot work, the weights are damaged, the format cannot express the network, or the file
            gives other probabilities than the networks.
    """
    check_export(cfg)
    suffix = FORMATS[cfg.format]
    ensemble = load_ensemble(cfg.ckpt_dir)
    size = cfg.rows or ensemble.spec.rows, cfg.bins or ensemble.spec.bins
    if not ensemble.any_size and size != (ensemble.spec.rows, ensemble.spec.bins):
        own = f"{ensemble.spec.rows} x {ensemble.spec.bins}"
        msg = f"{cfg.ckpt_dir} takes in panels of {own}, not of {size[0]} x {size[1]}: set rows=null bins=null"
        raise SettingsError(msg)
    everything = list(range(len(ensemble.folds)))
    # Panels of another size have files of their own.
    name = ensemble.name if size == (ensemble.spec.rows, ensemble.spec.bins) else f"{ensemble.name}_{size[0]}x{size[1]}"
    parts = {name: everything}
    if cfg.members == "each":
        parts = {f"{name}_fold_{ensemble.folds[place]}": [place] for place in everything}
    folder = _folder(cfg)
    paths = {folder / f"{part}.{suffix}": places for part, places in parts.items()}
    files.try_outputs(folder, [path.name for path in paths])
    folder.mkdir(parents=True, exist_ok=True)
    for path, places in paths.items():
        module = ExportedEnsemble(ensemble, places, size).eval()
        with files.atomic_write(path) as temporary:
            write = _write_onnx if cfg.format == "onnx" else _write_torch
            write(module, size, temporary, _about(ensemble, places, size))
            difference = _compare(temporary, cfg.format, ensemble, places, size)
        log.info(
            "wrote %s: probabilities differ by %.1g at most from the networks' own in 32-bit floats (precision=32 of "
            "predict)",
            *(path, difference),
        )
    return list(paths)


def check_export(cfg: Any) -> None:
    """Refuse settings that cannot work; replace a list of one experiment by it, in place.

    Raises:
        SettingsError: naming the setting.
    """
    names = ensembles(cfg.ckpt_dir)
    if len(names) > 1 or ("," in names[0] and not Path(names[0]).exists()):
        several = names if len(names) > 1 else names[0].split(",")
        first = hints.command("export", hints.setting("ckpt_dir", several[0]))
        msg = f"export takes one experiment, and ckpt_dir has {len(several)}: export them one by one, first {first}"
        raise SettingsError(msg)
    cfg.ckpt_dir = names[0]
    if cfg.format not in FORMATS:
        msg = f"format={brief(cfg.format)} is none of {', '.join(FORMATS)}"
        raise SettingsError(msg)
    if cfg.members not in MEMBERS:
        msg = f"members={brief(cfg.members)} is none of {', '.join(MEMBERS)}"
        raise SettingsError(msg)
    for name in ("rows", "bins"):
        if cfg[name] is not None and cfg[name] < 1:
            msg = f"{name}={cfg[name]} must be at least 1, or null for the size that the networks were trained on"
            raise SettingsError(msg)
    missing = [name for name in EXTRA if find_spec(name) is None]
    if cfg.format == "onnx" and missing:
        msg = f"format=onnx needs the extra 'export', without which {missing[0]} is missing: pip install 'seti[export]'"
        raise SettingsError(msg)


def _folder(cfg: Any) -> Path:
    if cfg.out is not None:
        return Path(cfg.out)
    return Path("outputs/pretrained") if find_release(cfg.ckpt_dir) is not None else Experiment(Path(cfg.ckpt_dir)).path


def _about(ensemble: LoadedEnsemble, places: Sequence[int], size: tuple[int, int]) -> dict[str, str]:
    """Text that the file holds about itself."""
    folds = [ensemble.folds[place] for place in places]
    return {
        "seti": version("seti"),
        "ensemble": ensemble.name,
        "folds": json.dumps(folds),
        "weights": json.dumps({str(fold): ensemble.digests[str(fold)] for fold in folds}),
        "input": json.dumps(ensemble.spec_for(*size).plain()),
    }


def _write_onnx(module: nn.Module, size: tuple[int, int], path: Path, about: dict[str, str]) -> None:
    with _quiet(), _inexpressible("onnx"):
        program = torch.onnx.export(
            module,
            (torch.zeros(2, 6, *size),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["panels"],
            output_names=["probability"],
            verbose=False,
        )
        program.model.metadata_props.update(about)
        program.save(path, external_data=False)


def _write_torch(module: nn.Module, size: tuple[int, int], path: Path, about: dict[str, str]) -> None:
    with _quiet(), _inexpressible("torch"):
        shapes = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(module, (torch.zeros(2, 6, *size),), dynamic_shapes=shapes)
        torch.export.save(program, path, extra_files=about)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' warnings about their own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _inexpressible(form: str) -> Iterator[None]:
    """Turn an exporter's refusal into one line that names what it cannot express."""
    try:
        yield
    except (SetiError, OSError, KeyboardInterrupt):
        raise
    except Exception as error:  # exporters raise any kind, with pages of advice
        text, cause = "", error
        while cause is not None:
            text, cause = f"{text} {cause}", cause.__cause__ or cause.__context__
        named = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", text)
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        reason = f"it has no {named[1]}" if named else brief(said, 150)
        other = "; format=torch may" if form == "onnx" else ""
        msg = f"format={form} cannot express these networks ({reason}){other}"
        raise SetiError(msg) from error


def _compare(path: Path, form: str, ensemble: LoadedEnsemble, places: Sequence[int], size: tuple[int, int]) -> float:
    """Compare the file with the networks; return the largest difference of a probability.

    Raises:
        SetiError: it is larger than `TOLERANCE`.
    """
    panels = _example(*size)
    source = CadenceArray(panels, ensemble.panels)
    with progress_bars(False):
        expected = ensemble.probabilities(source, "cpu", "32")[:, list(places)].mean(axis=1)
    found = run_file(path, form, panels)
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        msg = (
            f"format={form} gives probabilities that differ from the networks' by {difference:.2g}, more than "
            f"{TOLERANCE:g}: nothing was written"
        )
        raise SetiError(msg)
    return difference


def run_file(path: Path, form: str, panels: np.ndarray) -> np.ndarray:
    """Run an exported file: panels `(B, 6, rows, bins)` float32 to probabilities `(B,)`."""
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return session.run(["probability"], {"panels": panels})[0]
    with torch.inference_mode():
        return torch.export.load(path).module()(torch.from_numpy(panels)).numpy()


def _example(rows: int, bins: int) -> np.ndarray:
    """Cadences of noise: alone, with a line in the ON panels, and with one in all panels."""
    rng = np.random.default_rng(0)
    panels = rng.chisquare(8, (TRIED, 6, rows, bins)) * np.linspace(1, 2, bins)
    at = np.linspace(0.3, 0.6, 6 * rows).reshape(6, rows) * bins
    for place, shown in ((1, (0, 2, 4)), (2, range(6))):
        for panel in shown:
            panels[place, panel, np.arange(rows), at[panel].astype(int)] += 20
    panels -= panels.mean(axis=(2, 3), keepdims=True)
    return (panels / panels.std(axis=(2, 3), keepdims=True)).astype(np.float32)
