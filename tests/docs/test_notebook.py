"""The notebook runs from top to bottom, and is kept without results."""

import ast
import importlib
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "scores_from_python.ipynb"


def cells():
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_every_cell_is_python_and_imports_what_there_is():
    imported = []
    for cell in cells():
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
                imported += [alias.name for alias in node.names]
    assert "load_ensemble" in imported


@pytest.mark.slow  # scoring from Python is tested in inference/test_scoring.py
def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    results = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("AUC 0." in output.get("text", "") for output in results)
    assert any("image/png" in output.get("data", {}) for output in results)
    assert sorted(path.name for path in (tmp_path / "night").iterdir()) == [f"cadence_{n}.npy" for n in range(5)]


def test_the_notebook_is_kept_without_results():
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs"), cell
        assert cell.get("execution_count") is None
