"""Images of a gallery: first thumbnails in the page, all others in files next to it."""

import os
from pathlib import Path
from urllib.parse import quote

from seti.reports.pages import images
from seti.utils import files

INLINE = 4_000_000  # bytes of thumbnails in the page itself: a page that is sent alone still shows the first ones


class ImageFiles:
    """Images by id, as URIs relative to the page.

    Args:
        page: the page; the files go to `<its name>_files/` next to it.
        inline: bytes of thumbnails that the page itself takes at most, `INLINE` or fewer.

    Attributes:
        small, large: URIs of the thumbnails and of the images in full size.
        remark: one line about missing images; empty where all are there.
    """

    def __init__(self, page: Path, inline: int) -> None:
        self.folder = page.with_name(f"{page.stem}_files")
        self.small: dict[str, str] = {}
        self.large: dict[str, str] = {}
        self.remark = ""
        self._left = min(inline, INLINE)
        self._written: set[Path] = set()

    def add(self, key: str, name: str, small: bytes, large: bytes | Path) -> None:
        """Add the images of one cadence or event.

        Args:
            key: its id.
            name: of the files, without suffix.
            small: a JPEG.
            large: a JPEG; or an image file, which is used in its place if it lies with the page, or else copied.
        """
        if len(small) <= self._left:
            self._left -= len(small)
            self.small[key] = images.data_uri("jpeg", small)
        else:
            self.small[key] = self._write(self.folder / "small" / f"{name}.jpg", small)
        if isinstance(large, bytes):
            self.large[key] = self._write(self.folder / "full" / f"{name}.jpg", large)
        elif large.resolve().is_relative_to(self.folder.parent.resolve()):
            self.large[key] = self._uri(large)
        else:
            self.large[key] = self._write(self.folder / "full" / f"{name}{large.suffix}", large.read_bytes())

    def remove_others(self) -> None:
        """Remove images of an earlier page."""
        for path in self.folder.glob("*/*"):
            if path.suffix in (".jpg", ".png") and path not in self._written:
                path.unlink()

    def _write(self, path: Path, content: bytes) -> str:
        with files.atomic_write(path, durable=False) as temporary:
            temporary.write_bytes(content)
        self._written.add(path)
        return self._uri(path)

    def _uri(self, path: Path) -> str:
        return quote(Path(os.path.relpath(path.resolve(), self.folder.parent.resolve())).as_posix())
