"""Training cadences put together again from their own panels, before anything else is done to them.

What is moved here are panels as they were read, so every layout can have it. Which of the cadence's six a panel is goes
along with it: the de-Doppler transform aligns panels by the time at which they were observed.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seti.data.cadence import OFF_PANELS, ON_PANELS, PANEL_CHOICES, PANEL_LETTERS
from seti.transforms.injection import Injection


@dataclass(frozen=True)
class PanelAugmentation:
    """What is done, and how often.

    Attributes:
        injection: signals added to negatives.
        swap_off: probability that a needle's OFF panels take the places of its ON panels and the other way round: what
            stands in OFF panels is no needle. Not of negatives: a decoy in OFF panels would come out as a needle.
        shuffle_on, shuffle_off: probabilities that the ON panels, or the OFF panels, change places among themselves.
        roll: the largest shift along frequency, as a share of the band; bins that leave it come in on the other side.
    """

    injection: Injection = field(default_factory=Injection)
    swap_off: float = 0.0
    shuffle_on: float = 0.0
    shuffle_off: float = 0.0
    roll: float = 0.0

    @classmethod
    def of(cls, augment: dict[str, Any]) -> "PanelAugmentation":
        """From the fields of the `augment` config group; those that are left out change nothing."""
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
        """Whether anything is done."""
        added = self.injection.needles + self.injection.decoys
        return added + self.swap_off + self.shuffle_on + self.shuffle_off + self.roll > 0

    @property
    def needs_off(self) -> bool:
        """Whether OFF panels are needed, also where the network sees ON panels alone."""
        return self.swap_off > 0

    def __call__(
        self, cadence: np.ndarray, numbers: tuple[int, ...], target: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Put one cadence together again.

        Args:
            cadence: `(panels, rows, bins)`; it is left as it is.
            numbers: which of the six the panels are.
            target: 0 or 1.
            seed: draws everything.

        Returns:
            The cadence; for every place the number of the panel that is there now; the target.
        """
        rng = np.random.default_rng(seed)
        cadence, target = self.injection(cadence, numbers, target, rng)
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
        if not np.array_equal(now, numbers):
            cadence = cadence[[places[number] for number in now.tolist()]]
        bins = cadence.shape[-1]
        shift = round(float(rng.uniform(-self.roll, self.roll)) * bins)
        if shift:
            cadence = np.roll(cadence, shift, axis=-1)
        return cadence, now, target


def panels_to_read(panels: str, augment: dict[str, Any] | None) -> tuple[int, ...]:
    """Numbers of the panels that a dataset must read.

    Args:
        panels: a key of `PANEL_CHOICES`: the panels that the network sees.
        augment: the fields of the `augment` config group, or None. With `swap_off`, OFF panels are read as well.
    """
    return PANEL_CHOICES["all" if augment and PanelAugmentation.of(augment).needs_off else panels]
