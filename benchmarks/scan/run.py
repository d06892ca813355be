"""Compare the search with turboSETI on simulated coarse channels: recall, false alarms, CPU seconds, memory.

    make bench-scan                      # three channels, about 10 minutes on one core
    python benchmarks/scan/run.py --seeds 4 5 6 --making second --turboseti <python of its environment>

Without `--turboseti` only this project is measured. Results go to `benchmarks/results/scan.json` and `scan.md`, or to
files of another name (`--name`).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from scan.channels import MAKINGS, RESOLUTION_HZ, Channel  # noqa: E402
from scan.files import MJD, bin_of, write  # noqa: E402
from scan.scoring import summary  # noqa: E402

RESULTS = HERE.parent / "results"
NO_JUDGE = "seti, no judge"  # stage one alone


def searched(python: str, script: str, folder: Path, *words: str) -> dict:
    """Result of one program on the files of a folder, on one core."""
    out = folder / f"{script}.json"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    environment["PYTHONPATH"] = str(HERE.parents[1]) if script == "ours.py" else ""
    done = subprocess.run(
        [python, str(HERE / script), str(folder), str(out), *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{script} failed on {folder}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads(out.read_text())


def turboseti_events(raw: dict, width: int) -> pd.DataFrame:
    """Rows of turboSETI's table with the bin at the cadence's first row."""
    table = pd.DataFrame(raw, columns=["Freq", "DriftRate", "SNR", "MJD"])
    seconds = (table.MJD - MJD) * 86400
    mhz = table.Freq - table.DriftRate * seconds / 1e6
    return pd.DataFrame({"bin": bin_of(mhz, width), "drift_hz_s": table.DriftRate, "score": table.SNR})


def measure(making: str, seeds: list[int], width: int, turboseti: str | None) -> dict:
    """Scores of each program over all channels."""
    tables: dict[str, list] = {"seti": [], NO_JUDGE: []}
    cost: dict[str, list[tuple[float, float]]] = {"seti": [], NO_JUDGE: []}
    candidates, strong = 0.0, 0.0
    for seed in seeds:
        channel = Channel(seed, MAKINGS[making], width, share=width / 2**20)
        truth = channel.truth
        with tempfile.TemporaryDirectory() as name:
            write(channel, Path(name))
            ours = searched(sys.executable, "ours.py", Path(name))
            tables["seti"].append((pd.DataFrame(ours["events"]), truth))
            cost["seti"].append((ours["seconds"], ours["peak_mb"]))
            alone = searched(sys.executable, "ours.py", Path(name), "none")
            tables[NO_JUDGE].append((pd.DataFrame(alone["events"]), truth))
            cost[NO_JUDGE].append((alone["seconds"], alone["peak_mb"]))
            listed = pd.DataFrame(ours["candidates"])
            only = truth[(truth.kind != "needle") | (truth.effective_snr >= 8)]
            candidates += len(listed) / len(seeds)
            strong += summary([(listed, only)], RESOLUTION_HZ)["recall"] / len(seeds)
            if turboseti:
                theirs = searched(turboseti, "turboseti.py", Path(name))
                for strict in ("3", "2"):
                    key = f"turboSETI, filter {strict}"
                    events = turboseti_events(theirs["events"][strict], width)
                    tables.setdefault(key, []).append((events, truth))
                    cost.setdefault(key, []).append((theirs["seconds"], theirs["peak_mb"]))
        print(f"channel {seed}: {len(ours['events']['bin'])} events, {ours['seconds']:.1f} CPU s", flush=True)
    out = {}
    for key, pairs in tables.items():
        hz = (
            250.0 if key.startswith("turboSETI") else 60.0
        )  # turboSETI's frequency is that of one file, carried back with its drift rate
        out[key] = summary(pairs, RESOLUTION_HZ, hz)
        out[key]["seconds"] = sum(s for s, _ in cost[key]) / len(seeds)
        out[key]["peak_mb"] = max(mb for _, mb in cost[key])
    out["seti"]["candidates"] = candidates
    out["seti"]["candidates' recall at 8"] = strong
    return out


ROWS = (
    ("recall at one false alarm a channel", "recall at 1 a channel", "{:.2f}", ">= 0.75"),
    ("recall at none", "recall at 0", "{:.2f}", ">= 0.65"),
    ("recall at effective SNR 4-8", "recall 4-8", "{:.2f}", ""),
    ("recall at effective SNR 8-12", "recall 8-12", "{:.2f}", ">= 0.80"),
    ("recall at effective SNR above 12", "recall 12-inf", "{:.2f}", ">= 0.90"),
    ("events", "events", "{:.0f}", ""),
    ("false alarms among them", "false", "{:.0f}", ""),
    ("share of needles with exactly one row", "one row", "{:.2f}", ">= 0.98"),
    ("error of frequency, median (Hz)", "frequency error", "{:.1f}", "<= 6"),
    ("error of drift rate, median (Hz/s)", "drift error", "{:.4f}", "<= 0.02 + 2 %"),
    ("share with an error of drift rate over 0.02 Hz/s + 2 %", "drift beyond", "{:.2f}", ""),
    ("CPU seconds a coarse channel of six files", "seconds", "{:.1f}", "<= 1/8 of turboSETI"),
    ("peak memory (MB)", "peak_mb", "{:.0f}", "<= 1,024"),
    ("candidates a channel", "candidates", "{:.0f}", "about 400"),
    ("their recall at effective SNR >= 8", "candidates' recall at 8", "{:.2f}", ">= 0.95"),
)


def table(results: dict[str, dict]) -> str:
    """Markdown of one making."""
    names = list(results)
    lines = ["| | " + " | ".join(names) + " | wanted |", "| --- " * (len(names) + 2) + "|"]
    for title, key, form, wanted in ROWS:
        cells = [form.format(results[name][key]) if results[name].get(key) is not None else "" for name in names]
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {wanted} |")
    return "\n".join(lines)


def main() -> None:
    """Measure every making and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203])
    parser.add_argument("--making", nargs="+", default=list(MAKINGS), choices=list(MAKINGS))
    parser.add_argument("--width", type=int, default=2**20, help="fine channels; fewer for a quick trial")
    parser.add_argument("--turboseti", help="python of an environment with turbo_seti 2.3.2 and numpy<2.4")
    parser.add_argument("--machine", default="")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--name", default="scan", help="of the two files with results")
    arguments = parser.parse_args()
    results = {}
    for making in arguments.making:
        results[making] = measure(making, arguments.seeds, arguments.width, arguments.turboseti)
        print(table(results[making]), flush=True)
    text = "# Search of whole coarse channels\n\nWritten by `make bench-scan`. "
    text += f"{len(arguments.seeds)} channels of {arguments.width:,} fine channels a making, seeds {arguments.seeds}; "
    text += (
        f"{date.today()}{'; ' + arguments.machine if arguments.machine else ''}. CPU seconds of one core, files read "
    )
    text += "included, compiled code loaded before. Makings: see `benchmarks/scan/channels.py`.\n"
    for making, found in results.items():
        text += f"\n## Making: {making}\n\n{table(found)}\n"
    (arguments.out / f"{arguments.name}.md").write_text(text)
    (arguments.out / f"{arguments.name}.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
