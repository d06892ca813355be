"""Pseudo-labels: test cadences to train on, with a network's probabilities as their targets."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

CLEAREST = 1e-6  # probabilities stay off 0 and 1: the augmentation takes those for certain labels


@dataclass(frozen=True)
class PseudoLabels:
    """Soft labels of test cadences for one fold.

    Attributes:
        path: the table that they come from.
        column: of that table.
        ids: `(M,)` text.
        targets: `(M,)` probabilities of a needle.
        honest: no network that gave them has learned from the labels of the held-out fold.
        digest: SHA-256 of the whole table, the same for every fold.
        weight: how often a cadence is seen, relative to a labelled one: 0.5 is every other epoch.
    """

    path: str
    column: str
    ids: np.ndarray
    targets: np.ndarray
    honest: bool
    digest: str
    weight: float = 1.0

    def surest(self, share: float | None) -> "PseudoLabels":
        """Keep a share of the cadences, the surest of either class.

        These are the nearest to 1 of those above 1/2, and the nearest to 0 of the others. Each side keeps its share, or
        else needles, which are rarer and less clear, would go first.
        """
        if share is None:
            return self
        kept = np.zeros(len(self.ids), bool)
        for side in (self.targets > 0.5, self.targets <= 0.5):
            places = np.flatnonzero(side)
            order = np.argsort(-np.abs(self.targets[places] - 0.5), kind="stable")
            kept[places[order[: int(np.ceil(share * len(places)))]]] = True
        return replace(self, ids=self.ids[kept], targets=self.targets[kept])

    def plain(self) -> dict[str, Any]:
        """Entry of `result.json`."""
        return {
            "path": self.path,
            "column": self.column,
            "cadences": len(self.ids),
            "expected_needles": round(float(self.targets.sum()), 3),
            "weight": self.weight,
            "honest": self.honest,
            "sha256": self.digest,
        }


def soft_targets(probs: np.ndarray) -> np.ndarray:
    """Clip probabilities to what may be a soft target."""
    return np.clip(probs, CLEAREST, 1 - CLEAREST)


def mark(fingerprint: str, pseudo: PseudoLabels | None) -> str:
    """Add the pseudo-labels to the fingerprint: with others, another fold is trained."""
    if pseudo is None:
        return fingerprint
    return f"{fingerprint}+{hashlib.sha256(pseudo.digest.encode()).hexdigest()[:16]}"
