"""The packages of `seti/` form layers: an import goes to a smaller number only."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = (
    {"errors"},
    {"utils"},
    {"data"},
    {"simulation", "backgrounds"},
    {"transforms"},
    {"dataloading", "models", "pretrained"},
    {"config"},
    {"experiments", "evaluation"},
    {"reports"},
    {"inference", "stacking"},
    {"training", "search", "release"},
    {"cli"},
)
LAYER = {name: number for number, names in enumerate(LAYERS, 1) for name in names}
COMMANDS = len(LAYERS) + 1
PACKAGES = sorted(path.parent for path in (ROOT / "seti").glob("*/__init__.py"))
MODULES = sorted((ROOT / "seti").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Modules of `seti` that a file imports, including imports inside functions and for type checkers."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seti":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "seti"}
    return found


def place(module: str) -> str:
    """The package, or the module directly in `seti/`, of a dotted name."""
    return module.split(".")[1]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_every_package_has_a_layer():
    assert {path.name for path in PACKAGES} | {"errors"} == set(LAYER)


def test_no_package_imports_upwards_or_sideways():
    wrong = []
    for path in MODULES:
        own = name_of(path)
        if own == "seti":
            continue
        number = LAYER.get(place(own), COMMANDS)
        for other in imported(path) - {"seti"}:
            if place(other) != place(own) and LAYER.get(place(other), COMMANDS) >= number:
                wrong.append(f"{own} imports {other}")
    assert wrong == []


def test_no_module_imports_itself_through_others():
    names = {name_of(path) for path in MODULES}
    graph = {}
    for path in MODULES:
        targets = imported(path)
        graph[name_of(path)] = {
            part for target in targets for part in (target, target.rpartition(".")[0]) if part in names
        }

    def reached(name: str, seen: set[str]) -> set[str]:
        for other in graph[name] - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    assert [name for name in graph if name in reached(name, set())] == []


def test_packages_re_export_nothing():
    """An import in `__init__.py` would run whenever a module of the package is imported, and slow down every start."""
    for folder in PACKAGES:
        tree = ast.parse((folder / "__init__.py").read_text())
        assert len(tree.body) == 1, folder
        assert len(ast.get_docstring(tree) or "") > 20, folder


def test_the_table_and_file_packages_need_neither_torch_nor_hydra():
    """`errors`, `data` and most of `utils` start in tenths of a second."""
    heavy = {"torch", "hydra", "omegaconf", "timm", "pytorch_lightning"}
    for path in sorted((ROOT / "seti" / "data").glob("*.py")):
        found = {
            (alias.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not found & heavy, path
