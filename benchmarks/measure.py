"""Benchmark rows, timed in turn, and their table for the terminal and the README."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from rich.table import Table

SCALES = {"us": 1e6, "ms": 1e3, "s": 1.0, "MiB": 1.0}


@dataclass
class Row:
    """Measured stage; every value is a cost, so that less is better.

    Attributes:
        stage: what is done.
        ours: this project's way, a value a round, in seconds (or MiB).
        reference: the ordinary way's, in the same rounds; empty where there is none.
        ceiling: the least that it could take; empty where there is none.
        unit: one of `SCALES`, and what it is for.
        wanted: what was aimed at, in words.
        note: what else is to be said, such as how far probabilities are off.
    """

    stage: str
    ours: Sequence[float]
    reference: Sequence[float] = ()
    ceiling: Sequence[float] = ()
    unit: str = "s"
    wanted: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Speed-up over the reference, the median of the rounds."""
        return float(np.median(np.divide(self.reference, self.ours))) if self.reference else None

    @property
    def share(self) -> float | None:
        """Speed as a share of the ceiling, the median of the rounds."""
        return float(np.median(np.divide(self.ceiling, self.ours))) if self.ceiling else None

    def cells(self) -> list[str]:
        """Format as text: stage, reference, ours, ceiling, ratio, share, wanted, note."""
        values = [self._spread(seen) for seen in (self.reference, self.ours, self.ceiling)]
        ratio = "" if self.ratio is None else f"{self.ratio:.1f} x"
        share = "" if self.share is None else f"{self.share:.2f}"
        return [self.stage, *values, ratio, share, self.wanted, self.note]

    def plain(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self) | {"ratio": self.ratio, "share": self.share}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """Create a row from the output of `plain`."""
        return cls(**{key: value for key, value in plain.items() if key not in ("ratio", "share")})

    def _spread(self, seen: Sequence[float]) -> str:
        if not len(seen):
            return ""
        low, middle, high = map(_short, np.percentile(seen, [25, 50, 75]) * SCALES[self.unit.split("/")[0]])
        spread = f" ({low}-{high})" if len(seen) > 1 else ""
        return f"{middle}{spread} {self.unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass
class Turns:
    """Alternative ways of one task, timed in turn.

    Each is called once to warm up and then once per round, so that a slow moment affects all of them.

    Attributes:
        ways: by name; what one returns is kept in `last`.
        count: how many things one call does.
        rounds: how often each way is timed.
    """

    ways: dict[str, Callable[[], Any]]
    count: int
    rounds: int
    last: dict[str, Any] = field(default_factory=dict)

    def seconds(self, warm: bool = True) -> dict[str, list[float]]:
        """Return the seconds per item of each round, by the names of the ways."""
        times: dict[str, list[float]] = {name: [] for name in self.ways}
        for turn in range(-int(warm), self.rounds):
            for name, way in self.ways.items():
                started = time.perf_counter()
                self.last[name] = way()
                if turn >= 0:
                    times[name].append((time.perf_counter() - started) / self.count)
        return times


HEADER = ["stage", "ordinary way", "this project", "ceiling", "faster", "of ceiling", "wanted", "note"]


def table(rows: Sequence[Row]) -> Table:
    """Create a table for the terminal, of medians and quartiles."""
    made = Table(*HEADER, title="median (lower to upper quartile)")
    for row in rows:
        made.add_row(*row.cells())
    return made


def markdown(rows: Sequence[Row]) -> str:
    """Create a Markdown table."""
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
