"""Rank correlation of experiments' scores, for a table that is read in any size and colours."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from seti.reports.score_plots import rank_correlation

MOST = 20  # experiments in a table


class Correlation(NamedTuple):
    """Rank correlation of experiments.

    Attributes:
        title: says of how many cadences, and of how many experiments where there are more.
        names: of the experiments, of rows and columns alike.
        rows: for each experiment its cells: the value's text, and the share of colour.
    """

    title: str
    names: list[str]
    rows: list[list[tuple[str, int]]]


def correlate(tables: Mapping[str, pd.DataFrame], experiments: int) -> Correlation | None:
    """Correlate scores over the cadences that all experiments have scored.

    Args:
        tables: out-of-fold tables of at most `MOST` experiments, by name.
        experiments: number of experiments in all.

    Returns:
        None for fewer than two experiments or common cadences.
    """
    columns = pd.DataFrame({name: table.set_index("id")["prob"] for name, table in tables.items()}).dropna()
    if len(columns) < 2 or len(tables) < 2:
        return None
    values = rank_correlation(columns).to_numpy()
    known = values[np.isfinite(values)]
    # Experiments on one task are alike, so that the colours span only the range of the values.
    low = min(0.9, float(known.min())) if len(known) else 0.0
    rows = [[_cell(value, low) for value in row] for row in values]
    title = f"Spearman's rank correlation of the scores over {len(columns):,} cadences"
    if experiments > len(tables):
        title += f", the first {len(tables)} of {experiments} experiments"
    return Correlation(title, list(tables), rows)


def _cell(value: float, low: float) -> tuple[str, int]:
    if not np.isfinite(value):
        return "", 0
    return f"{value:.2f}", round(60 * (value - low) / (1 - low))
