"""Time one cadence from its file to the network's picture: the ordinary chain, this project, and the ceiling, in turn.

The ordinary chain loads the whole file, casts it, picks the panels, and runs albumentations' transforms and resizing
one by one. The ceiling is OpenCV's warp, or resizing, of a float32 picture that is in memory already. One core, files
in the page cache.

python benchmarks/preparing.py <folder of a data set> [--count 200] [--rounds 7]
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch

from seti import catalog
from seti.augment import geometric
from seti.cadence import ON_PANELS
from seti.dataset import CadenceDataset, InputSpec
from seti.warp import BORDER

AUGMENT = {
    "flip_frequency": 0.5,
    "flip_time": 0.5,
    "affine": 0.5,
    "shift": 0.1,
    "scale": 0.1,
    "rotate": 10.0,
    "crop": 0.0,
}
SIZE = 512, 512


class OrdinaryDataset(torch.utils.data.Dataset):
    """The ordinary chain: whole files in float32, every transform by itself.

    Args:
        paths: of the cadences' files.
        targets: `(N,)`.
        transforms: albumentations', in order; the resizing too.
    """

    def __init__(self, paths: list[Path], targets: np.ndarray, transforms: list[A.BasicTransform]) -> None:
        self.paths = paths
        self.targets = np.asarray(targets, np.float32)
        self.transform = A.Compose(transforms)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, np.float32, int]:
        """Picture `(1, H, W)`, target, index."""
        cadence = np.load(self.paths[index]).astype(np.float32)[list(ON_PANELS)]
        stacked = cadence.reshape(-1, cadence.shape[-1], 1)
        picture = np.ascontiguousarray(self.transform(image=stacked)["image"].transpose(2, 0, 1))
        return torch.from_numpy(picture), self.targets[index], index


def _ceiling(picture: np.ndarray, train: bool) -> Callable[[int], object]:
    """Half of the training pictures are warped, the others resized, as `AUGMENT` has it."""
    out = np.empty(SIZE, np.float32)
    down, right = SIZE[0] / picture.shape[0], SIZE[1] / picture.shape[1]

    def draw(index: int) -> None:
        if train and index % 2:
            turn = cv2.getRotationMatrix2D((SIZE[1] / 2, SIZE[0] / 2), random.uniform(-10, 10), 1.0)
            matrix = turn @ np.diag([right, down, 1])
            cv2.warpAffine(picture, matrix, SIZE[::-1], dst=out, flags=cv2.INTER_LINEAR, borderMode=BORDER)
        else:
            cv2.resize(picture, SIZE[::-1], dst=out, interpolation=cv2.INTER_LINEAR)

    return draw


def microseconds(load: Callable[[int], object], count: int) -> float:
    """Time of one pass, a cadence."""
    started = time.perf_counter()
    for index in range(count):
        load(index)
    return (time.perf_counter() - started) / count * 1e6


def measure(root: Path, count: int = 200, rounds: int = 7) -> list[dict]:
    """Time preparing for training and for validation.

    Returns:
        A dict a stage: `stage`, `unit`, and the rounds' times of `reference`, `ours` and `ceiling`.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    ids = catalog.read_labels(root)["id"].to_numpy()[:count]
    paths = [catalog.cadence_path(root, "train", str(one)) for one in ids]
    rows, bins = np.load(paths[0], mmap_mode="r").shape[1:]
    spec = InputSpec("A", "spatial", list(SIZE), "linear", rows, bins)
    whole = np.load(paths[0])[list(ON_PANELS)].reshape(-1, bins).astype(np.float32)
    stages = []
    for name, augment in (("read + flips_affine + 512 x 512", AUGMENT), ("read + 512 x 512", None)):
        steps = [*(geometric(augment) if augment else []), A.Resize(*SIZE)]
        ordinary = OrdinaryDataset(paths, np.zeros(len(paths)), steps)
        ours = CadenceDataset(root, "train", ids, None, spec, augment)
        ways = {
            "reference": ordinary.__getitem__,
            # A seed, so that the transforms are drawn.
            "ours": (lambda index, data=ours: data[index, index]) if augment else ours.__getitem__,
            "ceiling": _ceiling(whole, train=augment is not None),
        }
        times = {way: [] for way in ways}
        for load in ways.values():
            microseconds(load, len(ids))  # into the page cache
        for _ in range(rounds):
            for way, load in ways.items():
                times[way].append(microseconds(load, len(ids)))
        stages.append({"stage": name, "unit": "us"} | times)
    return stages


def main() -> None:
    """Parse the command line, measure, print medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    for stage in measure(given.root, given.count, given.rounds):
        print(stage["stage"])
        for way in ("reference", "ours", "ceiling"):
            low, middle, high = np.percentile(stage[way], [0, 50, 100])
            print(f"  {way}: median {middle:.0f} us a cadence ({low:.0f}-{high:.0f})")
        ratios = np.divide(stage["reference"], stage["ours"])
        print(f"  ratio, round by round: median {np.median(ratios):.2f} ({ratios.min():.2f}-{ratios.max():.2f})")


if __name__ == "__main__":
    main()
