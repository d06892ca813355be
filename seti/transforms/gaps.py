"""Rows that pass unobserved between two panels, for panels of any number of rows.

`data.dedoppler.gap` and `augment.inject_gap` count rows of the competition's panels. A gap keeps its length relative to
a panel's: panels last equally long, whatever their number of rows.
"""

from collections.abc import Sequence

USUAL_ROWS = 273  # of the competition's panels


def scale_gap(gap: Sequence[float], rows: int, of: int = USUAL_ROWS) -> list[float]:
    """Convert a gap to rows of panels that have another number of them.

    Args:
        gap: the fewest and the most.
        rows: of a panel.
        of: rows of the panels that `gap` is about.
    """
    return list(gap) if rows == of else [value * rows / of for value in gap]
