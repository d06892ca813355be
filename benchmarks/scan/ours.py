"""Search the six files of a channel with this project; CPU seconds and events.

`python ours.py <folder> <out.json> [none]`: none for stage one without the judge.
"""

import json
import resource
import sys
import time
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy as np

from seti.search.channel import search_channel
from seti.search.judge import load_judge
from seti.search.settings import SearchSettings
from seti.utils import malloc


def main(folder: Path, out: Path, ckpt_dir: str | None = None) -> None:
    """Search, after a small channel that loads the compiled code."""
    malloc.keep_freed_memory()  # as every command of the project does
    settings = SearchSettings()
    tiny = np.random.default_rng(0).standard_gamma(51, (6, 16, 16384)).astype(np.float32)
    timing = {"row_s": 18.25, "resolution_hz": 2.79, "panel_start_s": [320.0 * p for p in range(6)]}
    on = [True, False] * 3
    tiny[::2, :, 5000] *= 1.5  # a signal to be judged
    judge = load_judge(ckpt_dir)
    search_channel(tiny.__getitem__, on=on, settings=settings, judge=judge, **timing)
    begun = time.process_time()
    files = [h5py.File(path) for path in sorted(folder.glob("*.h5"))]
    attributes = [dict(file["data"].attrs) for file in files]
    result = search_channel(
        lambda p: files[p]["data"][:, 0][:, ::-1],
        resolution_hz=abs(attributes[0]["foff"]) * 1e6,
        row_s=attributes[0]["tsamp"],
        panel_start_s=[(a["tstart"] - attributes[0]["tstart"]) * 86400 for a in attributes],
        on=on,
        settings=settings,
        judge=judge,
    )
    seconds = time.process_time() - begun
    events = result.events.to_dict("list")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    candidates = result.candidates[["bin", "drift_hz_s", "score"]].to_dict("list")
    out.write_text(json.dumps({"seconds": seconds, "peak_mb": peak, "events": events, "candidates": candidates}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
