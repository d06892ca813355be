"""Images of a page: the first ones within it, all others in files next to it."""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from seti.reports.pages import images
from seti.utils import files

LARGEST = 9_000_000  # characters of images in a page, which is to stay below 10 MB
FIGURES = 6_000_000  # characters of figures in the page itself; those of the first experiments
INLINE = 4_000_000  # bytes of thumbnails in the page itself: a page that is sent alone still shows the first ones


class Illustration(NamedTuple):
    """Figure of a page: its title, and a URI that holds it, or names its file."""

    title: str
    uri: str


class ImageFiles:
    """Images by id, as URIs relative to the page.

    Figures are added before thumbnails, which take what they leave of the page.

    Args:
        page: the page; the files go to `<its name>_files/` next to it.

    Attributes:
        outside: number of figures in files.
        small, large: URIs of the thumbnails and of the images in full size.
        shape: rows and bins of a panel, of cadences.
        remark: one line about missing images; empty where all are there.
    """

    def __init__(self, page: Path) -> None:
        self.folder = page.with_name(f"{page.stem}_files")
        self.outside = 0
        self.small: dict[str, str] = {}
        self.large: dict[str, str] = {}
        self.remark = ""
        self.shape: tuple[int, ...] = ()
        self._figures, self._taken, self._small = 0, 0, 0
        self._written: set[Path] = set()

    def add(self, key: str, name: str, small: bytes, large: bytes | Path) -> None:
        """Add the images of one cadence or event.

        Args:
            key: its id.
            name: of the files, without suffix.
            small: a JPEG.
            large: a JPEG; or an image file, which is used in its place if it lies with the page, or else copied.
        """
        uri = images.data_uri("jpeg", small)
        if self._small + len(small) <= INLINE and self._taken + len(uri) <= LARGEST:
            self._small += len(small)
            self._taken += len(uri)
            self.small[key] = uri
        else:
            self.small[key] = self._write(self.folder / "small" / f"{name}.jpg", small)
        if isinstance(large, bytes):
            self.large[key] = self._write(self.folder / "full" / f"{name}.jpg", large)
        elif large.resolve().is_relative_to(self.folder.parent.resolve()):
            self.large[key] = self._uri(large)
        else:
            self.large[key] = self._write(self.folder / "full" / f"{name}{large.suffix}", large.read_bytes())

    def place(self, figures: Sequence[Illustration]) -> list[Illustration]:
        """Leave figures in the page while there is space for them, and write the others into files."""
        placed = []
        for title, uri in figures:
            self._figures += 1
            if self._taken + len(uri) <= FIGURES:
                self._taken += len(uri)
                placed.append(Illustration(title, uri))
                continue
            head, _, content = uri.partition(",")
            suffix = {"data:image/svg+xml;base64": "svg"}.get(head, "png")
            path = self.folder / "figures" / f"{self._figures:04d}.{suffix}"
            placed.append(Illustration(title, self._write(path, base64.b64decode(content))))
            self.outside += 1
        return placed

    def reserve(self, characters: int) -> None:
        """Keep space in the page for something else."""
        self._taken += characters

    def remove_others(self) -> None:
        """Remove images of an earlier page; once the page is written, or it would lose them."""
        for path in self.folder.glob("*/*"):
            if path.suffix in (".jpg", ".png", ".svg") and path not in self._written:
                path.unlink(missing_ok=True)

    def _write(self, path: Path, content: bytes) -> str:
        with files.atomic_write(path, durable=False) as temporary:
            temporary.write_bytes(content)
        self._written.add(path)
        return self._uri(path)

    def _uri(self, path: Path) -> str:
        return quote(Path(os.path.relpath(path.resolve(), self.folder.parent.resolve())).as_posix())
