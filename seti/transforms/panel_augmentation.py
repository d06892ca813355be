"""Augmentation of training cadences: panels injected into, shuffled, swapped and rolled.

It works on panels as they were read, before anything else is done to them, so every layout can use it. A panel keeps
its number when it changes places: the de-Doppler transform aligns panels by the time at which they were observed.
"""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from seti.data.cadence import OFF_PANELS, ON_PANELS, PANEL_CHOICES, PANEL_LETTERS
from seti.transforms.injection import Injection
from seti.transforms.views import View

Moved = TypeVar("Moved", np.ndarray, View)


@dataclass(frozen=True)
class PanelAugmentation:
    """Random changes of a cadence's panels; by default, none.

    Attributes:
        injection: signals added to negatives.
        swap_off: probability that ON and OFF panels of a positive change places, which makes it a negative. Not of a
            negative: a decoy in OFF panels would become a needle.
        shuffle_on, shuffle_off: probabilities that the ON panels, or the OFF panels, are shuffled among themselves.
        roll: the largest shift along frequency, as a share of the band; bins that leave it re-enter on the other side.
    """

    injection: Injection = field(default_factory=Injection)
    swap_off: float = 0.0
    shuffle_on: float = 0.0
    shuffle_off: float = 0.0
    roll: float = 0.0

    @classmethod
    def of(cls, augment: dict[str, Any]) -> "PanelAugmentation":
        """Build from fields of the `augment` config group; missing ones change nothing."""
        names = {"inject": "needles", "inject_decoys": "decoys"}
        injected = {key: value for key, value in augment.items() if key.startswith("inject")}
        moved = {key: augment[key] for key in ("swap_off", "shuffle_on", "shuffle_off", "roll") if key in augment}
        injection = {
            names.get(key, key.removeprefix("inject_")): tuple(value) if isinstance(value, list) else value
            for key, value in injected.items()
        }
        return cls(Injection(**injection), **moved)

    @property
    def changes(self) -> bool:
        """True unless cadences are left as they are."""
        added = self.injection.needles + self.injection.decoys
        return added + self.swap_off + self.shuffle_on + self.shuffle_off + self.roll > 0

    @property
    def needs_off(self) -> bool:
        """True where OFF panels must be read although the network may see ON panels only."""
        return self.swap_off > 0

    def __call__(
        self, cadence: np.ndarray, numbers: tuple[int, ...], target: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Augment one cadence.

        Args:
            cadence: `(panels, rows, bins)`, left as it is.
            numbers: 0 to 5, of the panels.
            target: 0 or 1.
            seed: draws everything.

        Returns:
            The cadence; the number of the panel that is now in each place; the target.
        """
        rng = np.random.default_rng(seed)
        cadence, target = self.injection(cadence, numbers, target, rng)
        return self._move(cadence, numbers, target, rng)

    def view(
        self, kept: View, numbers: tuple[int, ...], target: float, seed: int
    ) -> tuple[View, np.ndarray, float] | None:
        """Augment a cadence on the device as a call does; None where a signal is added to it."""
        rng = np.random.default_rng(seed)
        adds = self.injection.draw_lot(target, rng) is not None
        return None if adds else self._move(kept, numbers, target, rng)

    def _move(
        self, cadence: Moved, numbers: tuple[int, ...], target: float, rng: np.random.Generator
    ) -> tuple[Moved, np.ndarray, float]:
        order = np.arange(len(PANEL_LETTERS))
        on, off = list(ON_PANELS), list(OFF_PANELS)
        for panels, probability in ((on, self.shuffle_on), (off, self.shuffle_off)):
            if rng.random() < probability:
                order[panels] = rng.permutation(panels)
        if rng.random() < self.swap_off and target == 1:
            order[on], order[off] = order[off], order[on]
            target = 0.0
        places = {number: place for place, number in enumerate(numbers)}
        now = order[list(numbers)]
        kept = isinstance(cadence, View)
        if not np.array_equal(now, numbers):
            came_from = [places[number] for number in now.tolist()]
            cadence = cadence.pick(came_from) if kept else cadence[came_from]
        shift = round(float(rng.uniform(-self.roll, self.roll)) * cadence.shape[-1])
        if shift:
            cadence = cadence.roll(shift) if kept else np.roll(cadence, shift, axis=-1)
        return cadence, now, target


def panels_to_read(panels: str, augment: dict[str, Any] | None) -> tuple[int, ...]:
    """Numbers of the panels that a dataset must read.

    Args:
        panels: a key of `PANEL_CHOICES`: the panels that the network sees.
        augment: the fields of the `augment` config group, or None. With `swap_off`, OFF panels are read as well.
    """
    return PANEL_CHOICES["all" if augment and PanelAugmentation.of(augment).needs_off else panels]
