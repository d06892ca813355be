"""Drawing of the packages on their layers, with an arrow for every import: `python docs/tools/layers.py`.

The layers are those that `tests/test_layers.py` holds; the arrows are read from the imports in `seti/`. Arrows that
longer paths imply as well are faint. `errors` and `utils`, which every package may import, are bars without arrows.
"""

import ast
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[2]
OUT = ROOT / "docs" / "layers.svg"
COMMANDS = "commands"  # the modules directly in `seti/`, but for `errors`
BASE = ("errors", "utils")
# Horizontal places, from 0 to 1, that keep arrows apart; other packages are spread evenly over their layer.
PLACES = {
    "data": 0.36,
    "simulation": 0.78,
    "transforms": 0.58,
    "dataloading": 0.5,
    "models": 0.76,
    "pretrained": 0.24,
    "config": 0.88,
    "experiments": 0.32,
    "evaluation": 0.12,
    "reports": 0.22,
    "inference": 0.64,
    "stacking": 0.12,
    "training": 0.5,
    "cli": 0.74,
    COMMANDS: 0.5,
}
WIDTH, HEIGHT = 0.17, 0.56  # of a box
BLUE, FAINT, FILL = "#1f4e79", "#c3cfdb", "#eaf1f8"


def layers() -> list[set[str]]:
    """Packages of every layer, the lowest first, as the layer test holds them; commands last."""
    tree = ast.parse((ROOT / "tests" / "test_layers.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "LAYERS":
            return [*ast.literal_eval(node.value), {COMMANDS}]
    msg = "tests/test_layers.py defines no LAYERS"
    raise LookupError(msg)


def edges() -> set[tuple[str, str]]:
    """Pairs of an importing and an imported package, read from the sources."""
    known = set.union(*layers())
    found = set()
    for path in (ROOT / "seti").rglob("*.py"):
        parts = path.relative_to(ROOT / "seti").with_suffix("").parts
        if parts == ("__init__",):
            continue
        for name in _imported(ast.parse(path.read_text())):
            pair = tuple(part if part in known else COMMANDS for part in (parts[0], name))
            if pair[0] != pair[1]:
                found.add(pair)
    return found


def essential(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Pairs that no longer path of imports implies (the transitive reduction)."""

    def reached(start: str, skipped: tuple[str, str]) -> set[str]:
        seen, ahead = set(), [start]
        while ahead:
            name = ahead.pop()
            following = {to for origin, to in pairs if origin == name and (origin, to) != skipped} - seen
            seen |= following
            ahead += following
        return seen

    return {pair for pair in pairs if pair[1] not in reached(pair[0], pair)}


def draw(out: Path = OUT) -> None:
    """Write the drawing as SVG."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "seti", "font.family": "sans-serif"})
    stack = layers()
    places = _places(stack)
    height = max(y for _, y in places.values()) + 0.6
    figure = Figure(figsize=(9, 0.62 * height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(-0.1, height), frameon=False, xticks=[], yticks=[])
    pairs = {pair for pair in edges() if not set(pair) & set(BASE)}
    kept = essential(pairs)
    for origin, to in sorted(pairs, key=lambda pair: (pair in kept, pair)):
        axes.add_patch(_arrow(places[origin], places[to], (origin, to) in kept))
    for number, names in enumerate(stack, 1):
        for name in sorted(names):
            x, y = places[name]
            wide = 0.9 if name in BASE else WIDTH
            _box(axes, x, y, wide, name if name in ("errors", COMMANDS) else f"{name}/")
        axes.text(0.012, y, str(number), va="center", fontsize=8, color="#777777")
    figure.savefig(out, format="svg", metadata={"Date": None})


def _imported(tree: ast.Module) -> set[str]:
    """Second part of every dotted name in `seti` that a module imports."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seti":
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("seti.")}
    return {name.split(".")[1] for name in names}


def _places(stack: list[set[str]]) -> dict[str, tuple[float, float]]:
    places = {}
    for number, names in enumerate(stack):
        for position, name in enumerate(sorted(names), 1):
            x = 0.5 if name in BASE else PLACES.get(name, position / (len(names) + 1))
            places[name] = (x, 0.3 + number * 0.95)
    return places


def _arrow(origin: tuple[float, float], to: tuple[float, float], strong: bool) -> FancyArrowPatch:
    """From the lower edge of a box to the upper edge of another; long ones bend around the boxes between."""
    far = origin[1] - to[1] > 1.5
    return FancyArrowPatch(
        (origin[0], origin[1] - HEIGHT / 2),
        (to[0], to[1] + HEIGHT / 2),
        arrowstyle="-|>,head_width=2.2,head_length=4",
        connectionstyle=f"arc3,rad={0.12 if far else 0}",
        color=BLUE if strong else FAINT,
        linewidth=1.3 if strong else 0.9,
        zorder=2 if strong else 1,
    )


def _box(axes: mpl.axes.Axes, x: float, y: float, width: float, label: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - HEIGHT / 2),
            width,
            HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.015",
            facecolor=FILL,
            edgecolor=BLUE,
            zorder=3,
        )
    )
    axes.text(x, y, label, ha="center", va="center", fontsize=10, color="#10263d", zorder=4)


if __name__ == "__main__":
    draw()
