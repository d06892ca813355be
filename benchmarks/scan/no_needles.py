"""Count the events of coarse channels that hold interference only, and say which interference passes for needles.

    python benchmarks/scan/no_needles.py --seeds 401 402 403 --making first second --faint-off 30 100

Searched in memory, on one core; about 5 s a channel. A line a channel, then the mean and the share with more than one.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from scan.channels import MAKINGS, ON, RESOLUTION_HZ, ROW_S, Channel  # noqa: E402

from seti.search.channel import ChannelResult, search_channel  # noqa: E402
from seti.search.settings import SearchSettings  # noqa: E402


def searched(panel: Callable[[int], np.ndarray], starts: Sequence[float], settings: SearchSettings) -> ChannelResult:
    """Result of a channel, searched in memory."""
    return search_channel(
        panel,
        resolution_hz=RESOLUTION_HZ,
        row_s=ROW_S,
        panel_start_s=starts,
        on=ON,
        settings=settings,
    )


def cause(event: pd.Series, truth: pd.DataFrame) -> str:
    """Kind and place of the simulated signal that is nearest to an event."""
    nearest = truth.iloc[int(np.abs(truth.bin - event.bin).to_numpy().argmin())]
    return f"{nearest.kind}, SNR {nearest.snr:.0f}, {nearest.bin - event.bin:+.0f} bins away"


def main() -> None:
    """Search the channels and print their events."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(401, 407)))
    parser.add_argument("--making", nargs="+", default=list(MAKINGS), choices=list(MAKINGS))
    parser.add_argument("--faint-off", type=int, nargs="+", default=[30], help="decoys that are fainter in OFF")
    parser.add_argument("--width", type=int, default=2**20, help="fine channels; fewer for a quick trial")
    parser.add_argument("--snr", type=float, default=SearchSettings.snr)
    arguments = parser.parse_args()
    settings = SearchSettings(snr=arguments.snr)
    for name in arguments.making:
        for faint in arguments.faint_off:
            making = replace(MAKINGS[name], needles=0, decoys=MAKINGS[name].decoys | {"faint_off": faint})
            counts = []
            for seed in arguments.seeds:
                channel = Channel(seed, making, arguments.width, arguments.width / 2**20)
                events = searched(channel.panel, channel.starts, settings).events
                counts.append(len(events))
                print(f"{name}, {faint} faint in OFF, seed {seed}: {len(events)} events", flush=True)
                for _, event in events.iterrows():
                    snrs = " ".join(f"{event[f'snr_{p}']:.1f}" for p in range(1, 7))
                    print(
                        f"    score {event.score:.3f}, SNR {event.snr:.1f} ({snrs}), {event.drift_hz_s:+.3f} Hz/s: "
                        f"{cause(event, channel.truth)}",
                        flush=True,
                    )
            more = np.mean(np.array(counts) > 1)
            print(
                f"{name}, {faint} faint in OFF: {np.mean(counts):.2f} events a channel, {more:.0%} with more than one"
            )


if __name__ == "__main__":
    main()
