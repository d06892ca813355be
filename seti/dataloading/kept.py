"""Cadences of a fold in the GPU's memory, `data.keep_on_device`.

A step of a small network on a GPU takes less time than to copy its batch of panels there, 54 MB of 64 cadences.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from seti.data.sources import CadenceSource
from seti.errors import SettingsError
from seti.utils.memory import available_bytes

log = logging.getLogger(__name__)

SHARE = 0.5  # of the GPU's free memory that auto takes at most: the rest is for training
AT_ONCE, READERS = 64, 4  # cadences that are read and copied at once, by that many threads


def choose(choice: str, sources: Sequence[CadenceSource], device: torch.device) -> int:
    """Decide whether cadences are kept on a device.

    Args:
        choice: `data.keep_on_device`: auto, true or false.
        sources: of all cadences; they have the same size.
        device: of the network.

    Returns:
        Bytes that they take there; 0 where they are not kept.

    Raises:
        SettingsError: they have to be kept, and do not fit.
    """
    if choice == "false" or (choice == "auto" and device.type != "cuda"):
        return 0
    size = sum(map(len, sources)) * sources[0].read(0).nbytes
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()
    if free is None:  # the system hides it
        return size
    if choice == "true" and size > free:
        msg = (
            f"data.keep_on_device=true: the cadences take {_size(size)}, and {_size(free)} are free on "
            f"{device}: leave it out, and they stay on the host"
        )
        raise SettingsError(msg)
    return size if choice == "true" or size <= SHARE * free else 0


def load(sources: Sequence[CadenceSource], device: torch.device) -> Tensor:
    """Read all cadences and copy them to a device, in the widest type of their files.

    Returns:
        `(N, panels, rows, bins)`, one source after the other.

    Raises:
        SetiError: a file is damaged or of another shape than the data set's.
    """
    kept, first = None, 0
    count = sum(map(len, sources))
    with ThreadPoolExecutor(READERS) as pool:
        for source in sources:
            for start in range(0, len(source), AT_ONCE):
                cadences = list(pool.map(source.read, range(start, min(start + AT_ONCE, len(source)))))
                panels = np.stack(cadences)
                block = torch.from_numpy(panels.astype(panels.dtype.newbyteorder("="), copy=False))
                if kept is None:
                    kept = torch.empty((count, *block.shape[1:]), dtype=block.dtype, device=device)
                kept = kept.to(torch.promote_types(kept.dtype, block.dtype))
                kept[first : first + len(block)] = block.to(device)
                first += len(block)
    log.info("keeping %d cadences on %s: %s", count, device, _size(kept.nbytes))
    return kept


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
