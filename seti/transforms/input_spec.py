"""Specification of a network's input, kept in every checkpoint."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from seti.errors import SetiError
from seti.transforms.dedoppler import Dedoppler
from seti.transforms.gaps import scale_gap
from seti.transforms.image import ImageMaker
from seti.transforms.layouts import LAYOUTS
from seti.transforms.normalisation import Normalisation

FEWEST_BINS = 8  # of panels that networks trained on others take in; fewer hold no signal and its surroundings


@dataclass(frozen=True)
class InputSpec:
    """Input of a network, kept in its checkpoint: prediction prepares cadences as training did.

    Attributes:
        panels, layout, image_size, interpolation: as the settings of the same names.
        rows, bins: of every panel on disk.
        normalise, clip, remove_spike: the fields of `Normalisation`.
        dedoppler: the fields of `Dedoppler`, with the gap in rows of these panels; used by layouts that integrate along
            drift rates.
    """

    panels: str
    layout: str
    image_size: list[int] | None
    interpolation: str
    rows: int
    bins: int
    normalise: str = "none"
    clip: list[float] | None = None
    remove_spike: bool = False
    dedoppler: dict[str, Any] = field(default_factory=dict)

    def image_maker(self, augment: dict[str, Any] | None = None) -> ImageMaker:
        """Build the maker of the network's images; `augment` are the training transforms, or None."""
        return ImageMaker(
            self.panels,
            self.layout,
            self.image_size,
            self.interpolation,
            augment,
            Normalisation(self.normalise, tuple(self.clip) if self.clip else None, self.remove_spike),
            Dedoppler(**self.dedoppler | {"gap": tuple(self.dedoppler["gap"])}) if self.dedoppler else None,
        )

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        _, height, width = self.image_maker().shape(self.rows, self.bins)
        return height, width

    def for_panels(self, rows: int, bins: int) -> "InputSpec":
        """Input of the same network made from panels of another size.

        Drift rates are in bins a panel, so they hold for any number of rows. The gap between two panels is in rows, and
        follows `scale_gap`.

        Raises:
            SetiError: the layout sums rows, and a panel has only one; or it has hardly any bins.
        """
        if bins < FEWEST_BINS:
            msg = f"the cadences have panels of {rows} x {bins}: give panels of at least {FEWEST_BINS} bins"
            raise SetiError(msg)
        if rows < 2 and LAYOUTS[self.layout].integrates:
            msg = (
                f"the cadences have panels of {rows} x {bins}, and data.layout={self.layout} sums along drift rates: "
                "give panels of at least two rows"
            )
            raise SetiError(msg)
        fan = dict(self.dedoppler)
        if fan:
            fan["gap"] = scale_gap(fan["gap"], rows, self.rows)
        return replace(self, rows=rows, bins=bins, dedoppler=fan)

    def plain(self) -> dict[str, Any]:
        """As a dict of plain values, for a checkpoint."""
        return asdict(self)
