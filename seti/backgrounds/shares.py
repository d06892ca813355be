"""Shares of cadences with a twin on the other side of a split: train and test, folds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from seti.errors import SetiError

CLOSE = 0.05  # shares that differ by less are called the same


@dataclass(frozen=True)
class Shares:
    """Shares of cadences that share a group with others.

    Attributes:
        test: of the test cadences, with a member of their group in train; None without a test set.
        train: of the training cadences, with a member of their group in test.
        folds: of every held-out fold, with a member of their group in its training folds, if the folds are random.
            Empty where no folds can be drawn.
    """

    test: float | None
    train: float | None
    folds: tuple[float, ...]

    @property
    def random(self) -> float:
        """Mean over the held-out folds."""
        return float(np.mean(self.folds))


def share_with(group: pd.Series, own: np.ndarray, other: np.ndarray) -> float:
    """Share of some cadences whose group has a member among others.

    Args:
        group: `(N,)` numbers, missing where alone.
        own, other: `(N,)` bool.
    """
    groups = group[own]
    return float(groups.isin(group[other].dropna()).mean()) if own.any() else 0.0


def count_shares(twins: pd.DataFrame, labels: pd.DataFrame | None, n_folds: int, seed: int) -> Shares:
    """Count shares of a data set with a table of twins.

    Args:
        twins: as `seti.backgrounds.table.read_twins` returns it.
        labels: columns id and target, sorted by id; None draws no folds.
        n_folds: number of random folds.
        seed: of the drawing.
    """
    train = (twins["split"] == "train").to_numpy()
    test = ~train
    both = train.any() and test.any()
    folds: tuple[float, ...] = ()
    if labels is not None:
        folds = _fold_shares(twins, labels, n_folds, seed)
    return Shares(
        share_with(twins["group"], test, train) if both else None,
        share_with(twins["group"], train, test) if both else None,
        folds,
    )


def advice(shares: Shares, any_twins: bool) -> str:
    """Say whether random or grouped folds estimate the test set, in plain words."""
    if not any_twins:
        return "No background repeats: random folds are as good as grouped ones (data.groups=none)."
    if not shares.folds:
        return "No folds can be drawn from the label table, so nothing can be said about them."
    seen = f"{shares.random:.0%} of a held-out fold have a twin in its training folds if the folds are random"
    if shares.test is None:
        return f"{seen}: grouped folds (data.groups=auto) estimate cadences whose backgrounds were never seen."
    here = f"{seen}, and {shares.test:.0%} of the test cadences have one in train"
    if shares.test > shares.random - CLOSE:
        return (
            f"Random folds estimate the test set (data.groups=none): {here}. Grouped folds (data.groups=auto) estimate "
            "cadences whose backgrounds were never seen."
        )
    if shares.test < CLOSE:
        return f"Grouped folds estimate the test set (data.groups=auto), random ones may promise too much: {here}."
    nearer = "random" if shares.test > shares.random / 2 else "grouped"
    return (
        f"The test set lies between random folds and grouped ones, which leave no twin (data.groups=auto): {here}. "
        f"{nearer.capitalize()} folds are nearer."
    )


def _fold_shares(twins: pd.DataFrame, labels: pd.DataFrame, n_folds: int, seed: int) -> tuple[float, ...]:
    from seti.data.folds import assign_folds  # scikit-learn takes a second to import

    try:
        folds = assign_folds(labels["target"].to_numpy(), n_folds, seed)
    except SetiError:  # too few cadences of a class
        return ()
    own = twins.set_index("id")["group"].reindex(labels["id"]).reset_index(drop=True)
    return tuple(share_with(own, folds == fold, folds != fold) for fold in range(n_folds))
