"""Dataset over a part of a stream of randomised cadences, drawn on the fly by workers.

Nothing is stored: cadence `i` of a stream follows from its seed and `i` alone (`seti.simulation.stream`). Epochs that
follow each other in the index never repeat a cadence, and a stopped training goes on from the index that it reached.
"""

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from seti.simulation.stream import draw_stream_cadence
from seti.simulation.wide.storage import as_float16
from seti.utils import shutdown


class StreamDataset(Dataset):
    """Consecutive cadences of a stream.

    Args:
        seed: of the stream.
        first: index of the first cadence.
        count: number of cadences.
        rows: rows of a panel.
        dtype: of the panels: float32, or float16, which halves what workers hand over. Cadences of raw power are then
            scaled to mean 0 and deviation 1 as a whole.
    """

    def __init__(self, seed: int, first: int, count: int, rows: int = 273, dtype: torch.dtype = torch.float32) -> None:
        self.seed, self.first, self.count, self.rows, self.dtype = seed, first, count, rows, dtype

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor, int]:
        """Draw a cadence.

        Returns:
            Panels `(6, rows, 256)`, label 0 or 1 as float32, and index in the stream.
        """
        if not 0 <= item < self.count:
            raise IndexError(item)
        index = self.first + item
        drawn = draw_stream_cadence(self.seed, index, self.rows)
        panels = as_float16(drawn.data) if self.dtype == torch.float16 else drawn.data
        return torch.from_numpy(panels).to(self.dtype), torch.tensor(drawn.label, dtype=torch.float32), index


def stream_loader(dataset: StreamDataset, batch_size: int, num_workers: int = 0) -> DataLoader:
    """Load a part of a stream in the order of its indices.

    Args:
        dataset: the part.
        batch_size: cadences in a batch; the last batch may have fewer.
        num_workers: processes that draw cadences; 0 draws them in this one. The batches are the same.

    Returns:
        Batches of panels `(B, 6, rows, 256)`, labels `(B,)` and indices `(B,)`.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_start_worker,
        prefetch_factor=4 if num_workers else None,
        # A generator of its own, so that making an iterator draws nothing from torch's global one.
        generator=torch.Generator(),
    )


def _start_worker(_: int) -> None:
    shutdown.ignore_signals_in_worker()
    torch.set_num_threads(1)
