"""Training on a GPU: cadences from workers, or kept in its memory, against the step alone.

    python benchmarks/gpu_feeding.py [--experiment best] [--steps 150] [--rounds 3] [--set data.num_workers=8]

Trains `--experiment` on simulated cadences, by turns with `data.keep_on_device=false` and `true`, and on one batch that
lies on the GPU before. On a machine without a GPU it runs to the end, and its figures say nothing.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import starting
import torch
from training import WARM, seconds_a_cadence

from seti.config.compose import simulation_settings
from seti.simulation.dataset import simulate

WAYS = {"from workers": ("false", False), "kept on the device": ("true", False), "the step alone": ("false", True)}


def main() -> None:
    """Parse the command line, time each way by turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="best")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="more settings of train.py")
    given = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"{device}, torch {torch.__version__}, experiment={given.experiment}", flush=True)
    seen: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        sizes = ("train=100", "test=1")
        root = simulate(simulation_settings("preset=easy", "positives=0.1", f"root={scratch / 'data'}", *sizes))
        # An epoch that is long enough: four fifths of the cadences are trained on, in batches of 64.
        many = starting.linked_data(root, scratch / "many", 64 * (given.steps + WARM) * 5 // 4 + 64, 16)
        settings = [f"experiment={given.experiment}", f"data.root={many}", "data.augment_on=device", *given.set]
        for turn in range(given.rounds):
            for name in list(WAYS)[:: -1 if turn % 2 else 1]:
                keep, resident = WAYS[name]
                words = [*settings, f"data.keep_on_device={keep}"]
                seconds, _ = seconds_a_cadence(words, scratch, given.steps, resident)
                seen[name].append(seconds)
                print(f"  {name}: {1 / seconds:,.0f} cadences/s", flush=True)
    alone = median(seen["the step alone"])
    for name, seconds in seen.items():
        print(f"{name}: {1 / median(seconds):,.0f} cadences/s, {alone / median(seconds):.2f} of the step alone")


if __name__ == "__main__":
    main()
