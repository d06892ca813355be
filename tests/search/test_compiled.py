"""Compiled functions that are kept on disk."""

import importlib.util
import shutil
import subprocess
import sys

import numba
import pytest

from seti.search import compiled, fits, judge_features, stamps, tracks, tree, warm_up
from seti.utils import processes

CALLER = """
from {package}.compiled import compiled
from {package}.callee import inner

@compiled()
def outer(x):
    return inner(x)
"""
CALLEE = """
from {package}.compiled import compiled

@compiled()
def inner(x):
    return x + {value}
"""


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "__init__.py").touch()
    shutil.copy(compiled.__file__, folder / "compiled.py")
    (folder / "caller.py").write_text(CALLER.format(package="kernels"))

    def outer(value):
        (folder / "callee.py").write_text(CALLEE.format(package="kernels", value=value))
        code = "from kernels.caller import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.split()

    return outer


@pytest.mark.slow
def test_a_change_in_another_file_reaches_functions_that_call_it_and_else_nothing_is_compiled(package):
    assert package(10) == ["11", "0"]
    assert package(10) == ["11", "1"]
    assert package(20) == ["21", "0"]


def test_functions_share_one_stamp_of_all_the_sources():
    stamps = {function._cache._cache_file._source_stamp for function in (tracks.process, fits.boxes)}
    assert len(stamps) == 1
    assert len(stamps.pop()) == 64


def test_the_search_is_compiled_in_another_process_where_no_machine_code_is_kept(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(processes, "run_apart", calls.append)
    monkeypatch.setattr(warm_up, "is_kept", lambda function: True)
    warm_up.compile_search()
    assert (calls, capsys.readouterr().out) == ([], "")
    monkeypatch.setattr(warm_up, "is_kept", lambda function: False)
    warm_up.compile_search()
    assert calls == [warm_up.search_tiny_channel]
    assert capsys.readouterr().out == "compiling the search, once after an installation: about half a minute\n"


def test_the_tiny_channel_compiles_all_that_a_search_with_a_judge_calls():
    assert warm_up.search_tiny_channel() == 1
    entries = (tracks.process, tree.panel_peaks, tree.joint_peaks, tree.halve, stamps.unmask, judge_features._sum)
    for function in entries:
        assert function.signatures
        assert compiled.is_kept(function)


def test_a_function_that_was_never_called_is_not_kept_yet(tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text("from seti.search.compiled import compiled\n\n@compiled()\ndef twice(x):\n    return 2 * x\n")
    spec = importlib.util.spec_from_file_location("kernels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not compiled.is_kept(module.twice)
    assert module.twice(3) == 6
    assert compiled.is_kept(module.twice)


def test_a_function_is_compiled_without_a_cache_where_no_folder_can_be_written(monkeypatch):
    def refuse(self):
        raise RuntimeError("cannot cache function 'twice': no locator available")

    monkeypatch.setattr(numba.core.dispatcher.Dispatcher, "enable_caching", refuse)

    @compiled.compiled()
    def twice(x):
        return 2 * x

    assert compiled.is_kept(twice)  # there is nothing to wait for
    assert twice(3) == 6
