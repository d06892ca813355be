"""Compilation of the search in a process of its own, before data are loaded.

The compiler takes half a minute and 0.3 GB, once after an installation. A process that compiled would keep that memory
in addition to the data of its coarse channel, and several processes would compile the same at the same time.
"""

import numpy as np

from seti.search.channel import search_channel
from seti.search.compiled import is_kept
from seti.search.judge import load_judge
from seti.search.settings import SearchSettings
from seti.search.tracks import process
from seti.utils import processes

BINS, ROWS = 2048, 16


def compile_search() -> None:
    """Compile the search in another process, unless its machine code is on disk.

    Where that fails, the search compiles itself and reports what is wrong.
    """
    if is_kept(process):
        return
    print("compiling the search, once after an installation: about half a minute", flush=True)
    processes.run_apart(search_tiny_channel)


def search_tiny_channel() -> int:
    """Search and judge a little noise with one signal; the number of events."""
    planes = np.random.default_rng(0).standard_gamma(50.0, (6, ROWS, BINS)).astype(np.float32)
    planes[::2, :, BINS // 3] *= 1.5
    found = search_channel(
        planes.__getitem__,
        resolution_hz=2.8,
        row_s=18.25,
        panel_start_s=[320.0 * panel for panel in range(len(planes))],
        on=[True, False] * 3,
        settings=SearchSettings(),
        judge=load_judge(),
    )
    return len(found.events)
