import re

import pytest
from docs_tools import ROOT, load

layers = load("layers")


@pytest.fixture(scope="module")
def edges():
    """Imports between packages, for which every source is parsed."""
    return layers.edges()


def packages():
    return {path.parent.name for path in (ROOT / "seti").glob("*/__init__.py")}


def test_arrows_are_the_imports_of_the_sources(edges):
    """Compared with lines that begin with an import of `seti`, found by a regular expression."""
    expected = set()
    for folder in sorted(packages()):
        for path in (ROOT / "seti" / folder).rglob("*.py"):
            for name in re.findall(r"^\s*from seti\.(\w+)|^\s*from seti import (\w+)", path.read_text(), re.MULTILINE):
                expected.add((folder, "".join(name)))
    expected = {(origin, to) for origin, to in expected if origin != to and to in packages() | {"errors"}}
    assert {pair for pair in edges if layers.COMMANDS not in pair} == expected
    assert ("training", "models") in expected


def test_no_arrow_points_upwards_or_sideways(edges):
    number = {name: place for place, names in enumerate(layers.layers()) for name in names}
    assert all(number[origin] > number[to] for origin, to in edges)


def test_arrows_that_longer_paths_imply_are_not_essential():
    pairs = {("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")}
    assert layers.essential(pairs) == {("a", "b"), ("b", "c"), ("d", "c")}


def test_the_drawing_has_every_package_and_is_the_same_again(tmp_path):
    for name in ("drawn.svg", "again.svg"):
        layers.draw(tmp_path / name)
    drawn = (tmp_path / "drawn.svg").read_text()
    assert (tmp_path / "again.svg").read_text() == drawn
    committed = layers.OUT.read_text()
    for name in packages():
        assert f">{name}/<" in drawn
        assert f">{name}/<" in committed
    assert ">errors<" in drawn
    assert ">commands<" in drawn
