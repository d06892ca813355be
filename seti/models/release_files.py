"""Files of a release: plain weights of every fold, and their record.

A release is a folder:

    release.json            format, backbone, input, calibration, training; SHA-256 of the weight files
    fold_<k>.safetensors    weights of the network that never trained on cadences of fold k, named as the network's own
    card.json               numbers of the model card (docs/pretrained.md)

safetensors holds nothing but numbers, so reading never runs code. The calibration is folded into the weights of the
last layer: a network's probability needs no further step.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from seti.errors import SetiError, brief
from seti.utils import files

if TYPE_CHECKING:  # imported below where it is needed: a record is read without torch, whose import takes seconds
    from torch import Tensor

FORMAT = 1
RECORD = "release.json"
CARD = "card.json"
WEIGHTS = re.compile(r"fold_(\d+)\.safetensors")
PACKAGED = Path(__file__).parents[1] / "pretrained"  # releases that come with the package
FIELDS = {"format": int, "backbone": str, "spec": dict, "files": dict}


@dataclass(frozen=True)
class Release:
    """Record of a release.

    Attributes:
        folder: its files.
        backbone: name of the network.
        spec: the fields of `seti.transforms.input_spec.InputSpec`, as plain values.
        sums: SHA-256 of the weight files, by name.
        record: everything that release.json holds.
    """

    folder: Path
    backbone: str
    spec: dict[str, Any]
    sums: dict[str, str]
    record: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the release, that of its folder."""
        return self.folder.name

    @property
    def folds(self) -> dict[int, Path]:
        """Weight files by the fold that each network did not train on."""
        return {int(WEIGHTS.fullmatch(name)[1]): self.folder / name for name in sorted(self.sums)}


def released_names() -> list[str]:
    """Names of the releases that come with the package."""
    return sorted(path.parent.name for path in PACKAGED.glob(f"*/{RECORD}"))


def read_release(release: str | Path) -> Release:
    """Read the record of a release.

    Args:
        release: a name in `released_names`, or a folder.

    Raises:
        SetiError: there is no such release, its record is damaged, or it was made by a later version.
    """
    folder = PACKAGED / release if str(release) in released_names() else Path(release)
    if not (folder / RECORD).is_file():
        known = ", ".join(released_names()) or "none"
        msg = f"{release} is not a release: give the name of one ({known}), or a folder with {RECORD}"
        raise SetiError(msg)
    try:
        record = files.read_json(folder / RECORD)
    except SetiError as error:
        msg = f"{folder / RECORD} is damaged, it cannot be read as a record: {_fix(folder)}"
        raise SetiError(msg) from error
    wrong = [key for key, kind in FIELDS.items() if not isinstance(record.get(key), kind)]
    if wrong:
        msg = f"{folder / RECORD} is not the record of a release (its {wrong[0]} is missing or wrong): {_fix(folder)}"
        raise SetiError(msg)
    if record["format"] > FORMAT:
        msg = f"{folder / RECORD} has format {record['format']}, this version reads {FORMAT}: install a newer version"
        raise SetiError(msg)
    if record.get("options"):
        msg = f"{folder / RECORD} has networks with options, which this version does not build: install a newer version"
        raise SetiError(msg)
    found = Release(folder, record["backbone"], record["spec"], record["files"], record)
    named = all(WEIGHTS.fullmatch(name) and isinstance(total, str) for name, total in found.sums.items())
    if not named or not found.sums:
        msg = f"{folder / RECORD} is not the record of a release (its files are wrong): {_fix(folder)}"
        raise SetiError(msg)
    return found


def read_weights(release: Release, fold: int) -> "dict[str, Tensor]":
    """Read the weights of one network, in float32.

    Returns:
        Tensors under the names that the network itself gives them.

    Raises:
        SetiError: the release has no such fold, or its file is missing or damaged.
    """
    from safetensors.torch import load

    path = release.folds.get(fold)
    if path is None:
        msg = f"the release {release.folder} has no fold {fold}: it has {', '.join(map(str, release.folds)) or 'none'}"
        raise SetiError(msg)
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != release.sums[path.name]:
            msg = f"weights {path} are damaged, or not those of their {RECORD}: {_fix(release.folder)}"
            raise SetiError(msg)
        tensors = load(content)
    except FileNotFoundError as error:
        msg = f"weights {path} are missing: {_fix(release.folder)}"
        raise SetiError(msg) from error
    except SafetensorError as error:
        msg = f"weights {path} cannot be read ({brief(error, 100)}): {_fix(release.folder)}"
        raise SetiError(msg) from error
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def write_release(
    folder: Path, backbone: str, spec: dict[str, Any], weights: "dict[int, dict[str, Tensor]]", **record: Any
) -> Release:
    """Write a release; a folder that holds one is overwritten, its record last.

    Weights of several dimensions are stored in float16, which changes a logit by less than 0.01, and the others (scales
    and statistics of the batch normalisation, biases) in float32.

    Args:
        folder: named as the release.
        backbone: name of the network.
        spec: the fields of `InputSpec`, as plain values.
        weights: of each network, by its fold.
        record: further entries of release.json: plain values.
    """
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("fold_*.safetensors"):
        old.unlink()
    sums = {}
    for fold, tensors in weights.items():
        path = folder / f"fold_{fold}.safetensors"
        content = save({name: _compact(tensor) for name, tensor in tensors.items()})
        with files.atomic_write(path) as temporary:
            temporary.write_bytes(content)
        sums[path.name] = hashlib.sha256(content).hexdigest()
    files.write_json(folder / RECORD, {"format": FORMAT, "backbone": backbone, "spec": spec, **record, "files": sums})
    return read_release(folder)


def _compact(tensor: "Tensor") -> "Tensor":
    import torch

    kept = torch.float16 if tensor.ndim > 1 else torch.float32
    return tensor.detach().cpu().to(kept if tensor.is_floating_point() else tensor.dtype).contiguous()


def _fix(folder: Path) -> str:
    return "install the package again" if folder.parent == PACKAGED else "copy the whole folder again"
