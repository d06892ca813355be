"""Mean ranks of several models' scores."""

import pandas as pd


def rank_mean(probs: pd.DataFrame) -> pd.Series:
    """Average the ranks that every model gives a row, scaled to (0, 1]; ties share their mean rank.

    Args:
        probs: `(N, models)`.

    Returns:
        `(N,)`.
    """
    # Scaled after the mean: sums of ranks are exact, so rows that tie keep tying.
    return probs.rank().mean(axis=1) / len(probs)
