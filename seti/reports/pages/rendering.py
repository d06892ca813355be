"""HTML of a page from its facts: everything that users typed is escaped."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import seti
from seti.reports import labels
from seti.utils import console, files

FOLDER = Path(__file__).parent
LARGEST = 9_000_000  # bytes of figures and thumbnails in a page; a page is to stay below 10 MB


def space_for_thumbnails(figures: int) -> int:
    """Bytes of thumbnails for which a page has space; figures are counted in characters."""
    return max(0, LARGEST - figures) * 3 // 4  # base64 writes three bytes as four characters


def write_page(out: Path, template: str, content: Mapping[str, Any]) -> Path:
    """Fill a template and write the page; print its path, and return it."""
    html = render(template, {**content, "labels": labels.LABELS, "version": seti.__version__})
    with files.atomic_write(out) as temporary:
        temporary.write_text(html, encoding="utf-8")
    print(f"wrote {console.near(out)}: open it in a browser")
    return out


def render(template: str, content: Mapping[str, Any]) -> str:
    """Fill a template.

    The page's policy names the digest of its own script, so that a browser runs no other one and asks no other
    machine for anything.

    Args:
        template: a file next to this module.
        content: names that it uses.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        script=Markup(script),
        style=Markup((FOLDER / "report.css").read_text(encoding="utf-8")),
        script_digest=digest,
        **content,
    )
