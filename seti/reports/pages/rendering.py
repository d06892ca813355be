"""HTML of a page from its facts: everything that users typed is escaped."""

import base64
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import seti
from seti.reports import labels
from seti.utils import console, files

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
LARGEST = 10_000_000  # bytes of a page


def write_page(out: Path, template: str, content: Mapping[str, Any]) -> Path:
    """Fill a template and write the page; print its path, and return it."""
    html = render(template, {**content, "labels": labels.LABELS, "version": seti.__version__})
    size = len(html.encode())
    if size > LARGEST:
        log.warning("%s has %.1f MB: its tables are long; fewer cadences make it smaller", out, size / 1e6)
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
