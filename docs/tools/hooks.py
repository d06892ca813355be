"""Hooks of mkdocs: pages made from the sources, and a check that the site fetches nothing.

Benchmarks, changelog and contributing are files of the repository;
the API reference has a page for every package of `seti/`.
"""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COPIED = {  # pages and images from outside of docs/
    "benchmarks.md": "benchmarks/README.md",
    "growth.png": "benchmarks/growth.png",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
# Tags by which a browser fetches something when it opens a page, and the attribute that says where from.
FETCHING = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc\s*=\s*[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b[^>]*?\bhref\s*=\s*[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|(?:@import\s+|url\()\s*[\"']?((?:https?:)?//[^\"'\s)]+)",
    re.IGNORECASE,
)


def packages() -> list[tuple[str, list[str]]]:
    """Pages of the API reference: a name and the dotted names of its modules or packages."""
    folder = ROOT / "seti"
    commands = [f"seti.{path.stem}" for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")]
    inside = [(path.parent.name, [f"seti.{path.parent.name}"]) for path in sorted(folder.glob("*/__init__.py"))]
    return [("commands", commands), *inside]


def external(html: str) -> list[str]:
    """Addresses outside of the site that a page, or a style sheet, makes a browser fetch."""
    return ["".join(found) for found in FETCHING.findall(html)]


def fetched(site: Path) -> list[str]:
    """Pages and style sheets that fetch something from outside of the site, with the address, in sentences."""
    pages = sorted([*site.rglob("*.html"), *site.rglob("*.css")])
    return [f"{page.relative_to(site)} fetches {found}" for page in pages for found in external(page.read_text())]


def on_config(config: Any) -> Any:
    """Add the API reference to the navigation."""
    config["nav"].append({"API": [{name: f"api/{name}.md"} for name, _ in packages()]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in docs/."""
    from mkdocs.structure.files import File

    for page, source in COPIED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for name, modules in packages():
        text = f"# {name}\n\n" + "\n\n".join(f"::: {module}" for module in modules) + "\n"
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files


def on_post_build(config: Any) -> None:
    """Refuse a site that would fetch something from elsewhere."""
    from mkdocs.exceptions import PluginError

    found = fetched(Path(config["site_dir"]))
    if found:
        msg = f"the site must be readable without a network, and {found[0]}"
        raise PluginError(msg)
