import re

import pytest
import yaml
from docs_tools import ROOT, load

hooks = load("hooks")
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
WRITTEN.append(ROOT / "benchmarks" / "README.md")

TUTORIAL = {  # files that docs/extending.md has the reader write
    "conf/model/line_net.yaml",
    "conf/model/resnet18.yaml",
    "seti/models/line_net.py",
    "seti/stacking/meta_models/discriminant.py",
    "tests/models/test_line_net.py",
}


def navigation(entries):
    for entry in entries:
        for target in entry.values():
            yield from navigation(target) if isinstance(target, list) else [target]


def slug(heading):
    """As Python-Markdown names the anchor of a heading."""
    text = re.sub(r"[`*]", "", heading).strip().lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text))


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        copied = hooks.COPIED.get(name) if path.parent == DOCS else None
        file = ROOT / copied if copied else path.parent / name
        assert file.exists(), target
        if anchor:
            page = file.read_text()
            assert anchor in [slug(heading) for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)], target


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_named_in_the_documents_exist(path):
    named = re.findall(r"(?<![\w/.-])((?:seti|tests|conf|benchmarks|docs)/[\w/.-]*\w/?)", path.read_text())
    if path.name == "architecture.md":
        inside = re.findall(r"`((?!seti|tests|docs|outputs)\w+/\w+\.py)`", path.read_text())
        assert len(inside) > 15
        named += [f"seti/{name}" for name in inside]
    assert [name for name in named if not (ROOT / name).exists() and name not in TUTORIAL] == []


def test_the_navigation_has_every_page():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    pages = set(navigation(config["nav"]))
    assert pages == {path.name for path in DOCS.glob("*.md")} | {page for page in hooks.COPIED if page.endswith(".md")}


def test_the_api_reference_has_every_package_and_command():
    listed = [name for _, modules in hooks.packages() for name in modules]
    assert {f"seti.{path.parent.name}" for path in (ROOT / "seti").glob("*/__init__.py")} <= set(listed)
    assert {"seti.errors", "seti.check", "seti.simulate"} <= set(listed)
    assert len(listed) == len(set(listed))


def test_the_settings_page_has_the_tables_of_today():
    settings = load("settings")
    page = settings.PAGE.read_text()
    assert "| `optimizer.lr` | `6e-4` |" in page
    assert page == settings.updated(page), "run python docs/tools/settings.py"


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://cdn.example/x.js"></script>', ["https://cdn.example/x.js"]),
        ("<link rel=stylesheet href=//fonts.example/css>", ["//fonts.example/css"]),
        ('<img alt="a" src="http://a.example/b.png">', ["http://a.example/b.png"]),
        ("@import url('https://a.example/b.css')", ["https://a.example/b.css"]),
        ('<a href="https://hydra.cc">Hydra</a> <img src="cadence.png"> <link href="assets/main.css">', []),
    ],
)
def test_what_a_page_would_fetch_from_elsewhere_is_found(html, found):
    assert hooks.external(html) == found


def test_pages_that_fetch_something_are_named(tmp_path):
    assert hooks.fetched(tmp_path) == []
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "data.html").write_text("<img src=https://a.example/b.png>")
    (tmp_path / "main.css").write_text("url(b.png)")
    assert hooks.fetched(tmp_path) == ["api/data.html fetches https://a.example/b.png"]


def test_the_readme_is_short_and_names_every_command_and_target():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 125
    for command in load("settings").COMMANDS:
        assert f"`seti {command}`" in readme, command
    for target in ("demo", "test", "docs", "recipes"):
        assert f"make {target}" in readme
    for package in (ROOT / "seti").glob("*/__init__.py"):
        assert f" {package.parent.name}/ " in readme, package


def test_figures_of_the_readme_are_those_of_the_documents():
    """A number in the table of results stands in the page that says how it was measured."""
    readme = (ROOT / "README.md").read_text()
    table = readme[readme.index("## Results") : readme.index("## The code")]
    recipes, reliability = ((DOCS / name).read_text() for name in ("recipes.md", "reliability.md"))
    for figure in ("0.510 ± 0.017", "0.941 ± 0.003"):
        assert figure in table
        assert figure in recipes
    for figure in ("0.953", "0.586"):
        assert figure in table
        assert figure in reliability
    assert (DOCS / "cadence.png").stat().st_size > 10_000
