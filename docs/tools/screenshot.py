"""Write `docs/report.png`: the gallery of a page in headless Chromium.

    python docs/tools/screenshot.py demo/outputs/test_resnet-A-channel-96x128/report.html

`make demo` has made that page. A page of `seti report scan=` serves as well, with `--out docs/events.png`.
"""

import argparse
import base64
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reports"))  # for the browser that the tests use

import chromium  # noqa: E402

LARGEST = 300_000  # bytes of the PNG
LABELS = (("f", 0), ("i", 2), ("a", 3))  # keys, on the cards of these numbers


def take(page: Path, out: Path, width: int, height: int) -> None:
    """Write a screenshot of a page's gallery, with a few labels set."""
    with tempfile.TemporaryDirectory() as profile:
        browser = chromium.Browser(Path(profile))
        browser.resize(width, height)
        browser.open(page.resolve().as_uri())
        browser.run("document.getElementById('gallery').scrollIntoView()")
        for key, number in LABELS:
            browser.run(f"document.querySelectorAll('#cards li')[{number}]?.focus({{preventScroll: true}})")
            browser.press(key)
        browser.run("Promise.all([...document.images].filter(i => i.complete).map(i => i.decode().catch(() => 0)))")
        content = base64.b64decode(browser.send("Page.captureScreenshot")["data"])
        browser.close()
    image = Image.open(BytesIO(content)).convert("RGB")
    for colours in (256, 128, 64):
        image.quantize(colours, dither=Image.Dither.NONE).save(out, optimize=True)
        if out.stat().st_size <= LARGEST:
            return
    msg = f"{out} has {out.stat().st_size} bytes, more than {LARGEST}: give a smaller --height"
    raise SystemExit(msg)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "report.png")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=640)
    given = parser.parse_args()
    if chromium.find() is None:
        parser.error("no browser is installed: apt-get install chromium")
    if not given.page.is_file():
        parser.error(f"{given.page} is not a page: write one with seti report")
    take(given.page, given.out, given.width, given.height)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
