"""Program that trains the released networks: `python -m seti.release.train --minutes 10`.

A training that was stopped goes on when the command is given again. `weights/released/` then holds a folder for each
network, and `python -m seti.release.card weights/released` puts them into the package, with the model card.
"""

import argparse
import functools
import json
import logging
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from seti.errors import SetiError
from seti.release.fixed_sets import FixedSet, available_generators, draw_of_generator, fixed_set
from seti.release.publish import publish, summary
from seti.release.settings import NETWORKS, Settings
from seti.release.training import train
from seti.simulation.stream import draw_stream_cadence
from seti.utils.processes import available_cores

log = logging.getLogger("seti.release")

HELD_OUT_SEED = 1_000_003  # added to the stream's seed for cadences that none trains on


def main(arguments: list[str] | None = None, sets: Sequence[FixedSet] = ()) -> None:
    """Train, score and write releases.

    Args:
        arguments: of the command line.
        sets: further fixed sets to score.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    started = time.monotonic()
    args = _parse(arguments)
    settings = Settings(
        networks=NETWORKS | {} if args.networks is None else json.loads(args.networks),
        seed=args.seed,
        cadences=args.cadences,
        minutes=args.minutes,
        arrivals=args.arrivals,
        uses=args.uses,
        replay=args.replay,
        lr=args.lr,
        weight_decay=args.weight_decay,
        decay=args.decay,
    )
    workers = max(args.workers, 0)
    held_out = fixed_set("stream", draw_stream_cadence, args.seed + HELD_OUT_SEED, args.held_out, workers)
    others = [
        fixed_set(name, functools.partial(draw_of_generator, name), args.seed, args.others, workers)
        for name in available_generators()
    ]
    sets = [held_out, *others, *sets]
    quick = [FixedSet(each.name, each.panels[: args.quick], each.truth[: args.quick]) for each in sets]
    made = sum(len(each.truth) for each in sets)
    log.info("%d cadences to score on, made in %.0f s", made, time.monotonic() - started)
    members = train(settings, quick, args.out, workers, args.validate_every)
    trained = {
        "command": " ".join(["python -m seti.release.train", *(sys.argv[1:] if arguments is None else arguments)]),
        "settings": settings.plain(),
        "cadences": members.seen,
        "steps": members.steps,
        "minutes": round(members.elapsed / 60, 2),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "CPU",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    if torch.cuda.is_available():
        members.cuda()
    releases = publish(members, sets, args.out / "released", trained)
    print(summary(releases))
    print(f"next:  python -m seti.release.card {args.out / 'released'}")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the released networks on a stream of simulated cadences.")
    cores = available_cores()
    add = parser.add_argument
    add("--minutes", type=float, help="end after so many minutes of training; the learning rate follows")
    add("--cadences", type=int, help="end after so many cadences")
    add("--out", type=Path, default=Path("weights"), help="folder of the checkpoint and of the releases")
    add("--seed", type=int, default=0, help="of the stream, the initial weights and every random move")
    add("--workers", type=int, default=max(1, cores - 2), help="processes that make cadences")
    add("--arrivals", type=int, default=64, help="new cadences a batch")
    add("--uses", type=int, default=1, help="steps a batch of new cadences; the later ones draw from the replay")
    add("--replay", type=int, default=0, help="latest cadences that are kept on the device, 0.84 MB each")
    add("--lr", type=float, default=3e-3, help="highest learning rate")
    add("--weight-decay", type=float, default=1e-2, help="weight decay of all weights")
    add("--decay", type=float, default=0.999, help="of the moving average of the weights")
    add("--held-out", type=int, default=4000, help="cadences to calibrate and score on, of another seed")
    add("--others", type=int, default=2000, help="cadences of each other generator to score on")
    add("--quick", type=int, default=1000, help="how many of each set are scored while training")
    add("--validate-every", type=int, default=500, help="batches between two scores")
    add("--networks", help='JSON {"<name>": {"backbone": "...", "options": {}, "folds": [0]}} instead of the usual')
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except SetiError as error:
        sys.exit(f"error: {error}")
