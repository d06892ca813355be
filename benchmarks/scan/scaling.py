"""Time and memory of `seti scan`: one worker against two, and from 1 to 64 coarse channels.

    python benchmarks/scan/scaling.py                       # about 6 minutes on two idle cores, 0.4 GB of disk
    python benchmarks/scan/scaling.py --channels 4 8 --width 65536    # a quick trial

Six observations repeat one simulated coarse channel. Every scan starts again, after one that loads the compiled
code; the wall time, CPU seconds and the largest memory of any worker are printed. Figures and cut-outs are left out.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from scan.channels import FIRST, Channel  # noqa: E402
from scan.files import write  # noqa: E402


def repeated(one: Path, folder: Path, channels: int) -> Path:
    """Six observations of so many coarse channels, all of them those in `one`: virtual data sets, no copies."""
    folder.mkdir()
    for path in sorted(one.glob("*.h5")):
        with h5py.File(path) as source, h5py.File(folder / path.name, "w") as file:
            file.attrs.update(source.attrs)
            old = source["data"]
            rows, _, width = old.shape
            layout = h5py.VirtualLayout((rows, 1, width * channels), old.dtype)
            for k in range(channels):
                layout[:, :, k * width : (k + 1) * width] = h5py.VirtualSource(old)
            data = file.create_virtual_dataset("data", layout)
            data.attrs.update({name: value for name, value in old.attrs.items() if name != "DIMENSION_LABELS"})
            data.attrs["nchans"] = width * channels
    return folder


def scan(cadence: Path, out: Path, workers: int) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds, and MB of the largest process of one scan."""
    command = [sys.executable, "-m", "seti.scan", f"cadence={cadence}", f"out={out}", f"workers={workers}"]
    command += ["figures=0", "cutouts=0"]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    # A process of its own measures the scan: the largest memory of children never falls in this one.
    measure = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True, text=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.stderr or done.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measure, *command], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, cpu, int(done.stdout) / 1024


def main() -> None:
    """Scan and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 8, 64], help="coarse channels of the files")
    parser.add_argument("--width", type=int, default=2**20, help="fine channels in a coarse channel")
    parser.add_argument("--seed", type=int, default=201)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(Channel(arguments.seed, FIRST, arguments.width, arguments.width / 2**20), folder / "one")
        scan(folder / "one", folder / "first", 1)
        print("| coarse channels | workers | wall s | CPU s | MB of the largest process |")
        print("| --- | --- | --- | --- | --- |")
        for channels in arguments.channels:
            cadence = repeated(folder / "one", folder / f"cadence_{channels}", channels)
            walls = {}
            for workers in (1, 2) if channels > 1 else (1,):
                out = folder / f"scan_{channels}_{workers}"
                walls[workers], cpu, memory = scan(cadence, out, workers)
                print(f"| {channels} | {workers} | {walls[workers]:.1f} | {cpu:.1f} | {memory:.0f} |", flush=True)
            if len(walls) == 2:
                print(
                    f"two workers are {walls[1] / walls[2]:.2f} times as fast on {channels} coarse channels", flush=True
                )


if __name__ == "__main__":
    main()
