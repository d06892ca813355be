import re

from docs_tools import ROOT, load

layers = load("layers")


def packages():
    return {path.parent.name for path in (ROOT / "seti").glob("*/__init__.py")}


def test_arrows_are_the_imports_of_the_sources():
    """Compared with lines that begin with an import of `seti`, found by a regular expression."""
    expected = set()
    for folder in sorted(packages()):
        for path in (ROOT / "seti" / folder).rglob("*.py"):
            for name in re.findall(r"^\s*from seti\.(\w+)|^\s*from seti import (\w+)", path.read_text(), re.MULTILINE):
                expected.add((folder, "".join(name)))
    expected = {(origin, to) for origin, to in expected if origin != to and to in packages() | {"errors"}}
    assert {pair for pair in layers.edges() if layers.COMMANDS not in pair} == expected
    assert ("training", "models") in expected


def test_no_arrow_points_upwards_or_sideways():
    number = {name: place for place, names in enumerate(layers.layers()) for name in names}
    assert all(number[origin] > number[to] for origin, to in layers.edges())


def test_arrows_that_longer_paths_imply_are_not_essential():
    pairs = {("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")}
    assert layers.essential(pairs) == {("a", "b"), ("b", "c"), ("d", "c")}


def test_the_drawing_has_every_package(tmp_path):
    layers.draw(tmp_path / "drawn.svg")
    drawn = (tmp_path / "drawn.svg").read_text()
    committed = layers.OUT.read_text()
    for name in packages():
        assert f">{name}/<" in drawn
        assert f">{name}/<" in committed
    assert ">errors<" in drawn
    assert ">commands<" in drawn


def test_the_same_sources_give_the_same_drawing(tmp_path):
    for name in ("a.svg", "b.svg"):
        layers.draw(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
