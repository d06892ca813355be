"""Time and memory of `seti scan`: one worker against two, and from 1 to 64 coarse channels.

    python benchmarks/scan/scaling.py                       # about 5 minutes on two idle cores, 0.4 GB of disk
    python benchmarks/scan/scaling.py --channels 4 8 --width 65536    # a quick trial

Six observations repeat one simulated coarse channel. The first scan, of one channel, only loads or makes the compiled
code; `--compile` measures one that has to make it. Every scan starts again: wall time, CPU seconds of all its
processes, and the memory of the largest of them, which is a worker's. Figures and cut-outs are left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
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


def scan(cadence: Path, out: Path, workers: int, compiled: Path | None = None) -> dict[str, float]:
    """Scan, and measure all processes of the scan.

    Args:
        cadence: folder of the six observations.
        out: folder of the scan.
        workers: processes that search.
        compiled: folder of compiled code; None for the one in use.

    Returns:
        `wall`, `cpu` and `system` in seconds, and `mb` of the largest process.
    """
    command = [sys.executable, "-m", "seti.scan", f"cadence={cadence}", f"out={out}", f"workers={workers}"]
    command += ["figures=0", "cutouts=0"]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    if compiled is not None:
        environment["NUMBA_CACHE_DIR"] = str(compiled)
    # A process of its own measures the scan: the largest memory of children never falls in this one.
    measure = (
        "import json, resource, subprocess, sys, time; began = time.monotonic();"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True); wall = time.monotonic() - began;"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(json.dumps(dict(wall=wall, cpu=used.ru_utime + used.ru_stime, system=used.ru_stime,"
        " mb=used.ru_maxrss / 1024)));"
        "sys.exit(done.stderr if done.returncode else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measure, *command], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def line(channels: int | str, workers: int, used: dict[str, float]) -> str:
    """Row of the table."""
    numbers = (f"{used['wall']:.1f}", f"{used['cpu']:.1f}", f"{used['system']:.1f}", f"{used['mb']:.0f}")
    return f"| {channels} | {workers} | {' | '.join(numbers)} |"


def main() -> None:
    """Scan and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 16, 64], help="coarse channels of the files")
    parser.add_argument("--width", type=int, default=2**20, help="fine channels in a coarse channel")
    parser.add_argument("--seed", type=int, default=201)
    parser.add_argument("--compile", action="store_true", help="measure a scan that compiles the search, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(Channel(arguments.seed, FIRST, arguments.width, arguments.width / 2**20), folder / "one")
        print("| coarse channels | workers | wall s | CPU s | of it in the system | MB of the largest process |")
        print("| --- | --- | --- | --- | --- | --- |", flush=True)
        if arguments.compile:
            first = scan(folder / "one", folder / "compiling", 1, folder / "compiled")
            print(line("1, compiling", 1, first), flush=True)
        scan(folder / "one", folder / "warm", 1)
        said = []
        for channels in arguments.channels:
            cadence = repeated(folder / "one", folder / f"cadence_{channels}", channels)
            walls = {}
            for workers in (1, 2) if channels > 1 else (1,):
                used = scan(cadence, folder / f"scan_{channels}_{workers}", workers)
                walls[workers] = used["wall"]
                print(line(channels, workers, used), flush=True)
            if len(walls) == 2:
                said.append(f"two workers are {walls[1] / walls[2]:.2f} times as fast on {channels} coarse channels")
        print("\n".join(said))


if __name__ == "__main__":
    main()
