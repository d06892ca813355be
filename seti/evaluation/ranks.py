"""Rank averaging of several models' scores."""

import pandas as pd


def rank_mean(probs: pd.DataFrame) -> pd.Series:
    """Average each row's ranks over the models, scaled to (0, 1]; ties share their mean rank.

    Args:
        probs: `(N, models)`.

    Returns:
        `(N,)` mean ranks.
    """
    # Scale after the mean: sums of ranks are exact, so tied rows stay tied.
    return probs.rank().mean(axis=1) / len(probs)
