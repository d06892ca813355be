"""Train the judge of candidates that ships with the package, on simulated coarse channels.

    make judge                                  # about 20 minutes on one core; goes on where it was stopped
    python benchmarks/judge/train.py --channels 40 --epochs 2 --out /tmp/trial     # a quick trial

Three stages: the candidates that stage one finds in simulated channels, in parts; the network; recall before and after
on channels that it has not seen. Everything random follows from the seed, so the command gives the same judge again
with the same versions. Writes judge.npz (weights), judge.json (command, versions, scores), judge.csv and judge.png
(recovery curves) to `seti/search/trained/`.
"""

import argparse
import functools
import hashlib
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from judge.candidates import candidates  # noqa: E402
from judge.channels import NEEDLE  # noqa: E402
from judge.network import JudgeNet, mirrored  # noqa: E402

from seti.experiments import provenance  # noqa: E402
from seti.search.judge import SHIPPED  # noqa: E402
from seti.search.judge_network import panel_inputs  # noqa: E402
from seti.search.settings import SearchSettings  # noqa: E402
from seti.utils import files  # noqa: E402

PART = 200  # channels of one file of candidates
HELD_OUT = 5  # every fifth channel is not trained on
MEMBERS = 3  # networks, whose log-odds are averaged
BATCH, RATE, DECAY = 256, 3e-3, 1e-2
NEEDLES_A_CHANNEL = 60  # recall is given at false alarms for so many needles, as in the benchmark of the search
BANDS = ((3.2, 5), (5, 8), (8, 12), (12, 200))
SOURCES = ("channels.py", "candidates.py")


def simulated(work: Path, seed: int, channels: int) -> dict[str, np.ndarray]:
    """Candidates of all channels; parts that were made before are read."""
    parts = []
    for first in range(0, channels, PART):
        last = min(first + PART, channels)
        path = work / f"candidates_{seed}_{first}_{last}_{_digest()}.npz"
        if not path.is_file():
            begun = time.process_time()
            made = [candidates(seed, number) for number in range(first, last)]
            part = {name: np.concatenate([one[name] for one in made]) for name in made[0]}
            part["needle_channel"] = np.repeat(np.arange(first, last), [len(one["needles"]) for one in made])
            with files.atomic_write(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, **part)
            print(f"{path}: {len(part['kind'])} candidates, {time.process_time() - begun:.0f} CPU s", flush=True)
        with np.load(path, allow_pickle=False) as file:
            parts.append({name: file[name] for name in file.files})
    data = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    data["inputs"] = panel_inputs(data.pop("panels"))
    return data


@functools.cache
def _digest() -> str:
    """Digest of what the candidates depend on: the simulation and stage one."""
    search = HERE.parents[1] / "seti" / "search"
    names = ("flatten", "tree", "hits", "fits", "pieces", "tracks", "decide", "channel", "stamps", "judge_features")
    paths = [HERE / name for name in SOURCES] + [search / f"{name}.py" for name in names]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:8]


def train(data: dict[str, np.ndarray], rows: np.ndarray, seed: int, epochs: int) -> JudgeNet:
    """Train one network on some of the candidates."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    rng = np.random.default_rng(seed)
    inputs = torch.from_numpy(data["inputs"])  # float16: converted batch by batch
    of_whole = torch.from_numpy(data["whole"])
    target = torch.from_numpy((data["kind"] == NEEDLE).astype(np.float32))
    net = JudgeNet()
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    batches = len(rows) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * batches, pct_start=0.15)
    for epoch in range(epochs):
        net.train()
        total, order = 0.0, rng.permutation(rows)
        for number in range(batches):
            part = order[number * BATCH : (number + 1) * BATCH]
            out = net(mirrored(inputs[part].float(), rng), of_whole[part])
            loss = nn.functional.binary_cross_entropy_with_logits(out, target[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        if (epoch + 1) % 10 == 0 or epoch + 1 == epochs:
            print(f"epoch {epoch + 1}/{epochs}: loss {total / max(batches, 1):.4f}", flush=True)
    return net.eval()


@torch.inference_mode()
def log_odds(net: JudgeNet, data: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Log-odds of some of the candidates."""
    out = []
    for part in np.array_split(rows, max(1, len(rows) // 1024)):
        out.append(net(torch.from_numpy(data["inputs"][part]).float(), torch.from_numpy(data["whole"][part])).numpy())
    return np.concatenate(out).astype(float)


def calibration(odds: np.ndarray, needle: np.ndarray) -> tuple[float, float]:
    """Slope and offset that make log-odds of candidates not trained on honest: logistic regression of two numbers."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6).fit(odds[:, None], needle)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def curves(data: dict[str, np.ndarray], rows: np.ndarray, scores: dict[str, np.ndarray]) -> pd.DataFrame:
    """Recall by effective SNR at a number of false alarms, for each way to score; a row a band."""
    needles = data["needles"][np.isin(data["needle_channel"] % HELD_OUT, [0])]
    kind, snr, out = data["kind"][rows], data["snr"][rows], []
    for name, score in scores.items():
        order = np.argsort(-score, kind="stable")
        listed = score[order] > 0
        false = np.cumsum(kind[order] != NEEDLE)
        for alarms in (1 / 3, 1.0, 3.0):
            kept = order[(false <= alarms * len(needles) / NEEDLES_A_CHANNEL) & listed]
            found = snr[kept][kind[kept] == NEEDLE]
            for low, high in ((0, np.inf), *BANDS):
                of = int(((needles >= low) & (needles < high)).sum())
                hit = int(((found >= low) & (found < high)).sum())
                out.append((name, alarms, low, high, of, hit, hit / max(of, 1)))
    names = ["scored by", "false alarms for 60 needles", "low", "high", "needles", "found", "recall"]
    return pd.DataFrame(out, columns=names)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw recall by effective SNR before and after."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    part = table[(table["false alarms for 60 needles"] == 1) & (table.low > 0)]
    for name, rows in part.groupby("scored by", sort=False):
        axes.plot(
            [f"{low:g}-{high:g}" for low, high in zip(rows.low, rows.high, strict=True)], rows.recall, "o-", label=name
        )
    axes.set(xlabel="effective SNR", ylabel="recall at one false alarm for 60 needles", ylim=(0, 1.02))
    axes.legend()
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Simulate, train, evaluate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--channels", type=int, default=1600)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--work", type=Path, default=Path(".judge"), help="folder of the stages' results")
    parser.add_argument("--out", type=Path, default=SHIPPED.parent)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    data = simulated(arguments.work, arguments.seed, arguments.channels)
    begun = time.process_time()
    held_out = data["channel"] % HELD_OUT == 0
    learnt, rows = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    nets = [train(data, learnt, arguments.seed + number, arguments.epochs) for number in range(MEMBERS)]
    odds = np.mean([log_odds(net, data, rows) for net in nets], axis=0)
    needle = data["kind"][rows] == NEEDLE
    slope, offset = calibration(odds, needle)
    judged = 1 / (1 + np.exp(-(slope * odds + offset)))
    event = data["event"][rows]
    let_in = event | ((data["reason"][rows] == "unlikely") & (judged >= SearchSettings().least_judged))
    scores = {"stage one": np.where(event, data["score"][rows], 0), "judge": np.where(let_in, judged, 0)}
    table = curves(data, rows, scores)
    print(table[table.low == 0].to_string(index=False))
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = {"members": MEMBERS, "slope": slope, "offset": offset}
    weights = {
        f"{number}/{name}": value.astype(np.float16)  # half the size; probabilities change by less than 0.001
        for number, net in enumerate(nets)
        for name, value in net.weights().items()
    }
    with files.atomic_write(arguments.out / "judge.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, settings=np.array(json.dumps(settings)), **weights)
    files.write_csv(arguments.out / "judge.csv", table.round(4))
    draw(table, arguments.out / "judge.png")
    record = {
        "command": f"python benchmarks/judge/train.py --seed {arguments.seed} --channels {arguments.channels} "
        f"--epochs {arguments.epochs}",
        "seed": arguments.seed,
        "candidates": {
            "trained on": int((~held_out).sum()),
            "held out": len(rows),
            "needles among the latter": int(needle.sum()),
        },
        "parameters": sum(value.size for value in weights.values()),
        "calibration": {
            "slope": round(slope, 4),
            "offset": round(offset, 4),
            "log loss": round(float(-np.log(np.where(needle, judged, 1 - judged)).mean()), 4),
        },
        "stage one and simulation": _digest(),
        "cpu_seconds without the simulation": round(time.process_time() - begun),
        "versions": {"python": platform.python_version()}
        | {name: provenance.version(name) for name in ("seti", "numpy", "numba", "torch", "scikit-learn")},
    }
    files.write_json(arguments.out / "judge.json", record)
    print(f"wrote {arguments.out}/judge.npz, judge.json, judge.csv and judge.png")


if __name__ == "__main__":
    main()
