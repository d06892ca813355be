"""Compiled functions that are kept on disk."""

import shutil
import subprocess
import sys

import numba
import pytest

from seti.search import compiled, fits, tracks

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


def test_a_function_is_compiled_without_a_cache_where_no_folder_can_be_written(monkeypatch):
    def refuse(self):
        raise RuntimeError("cannot cache function 'twice': no locator available")

    monkeypatch.setattr(numba.core.dispatcher.Dispatcher, "enable_caching", refuse)

    @compiled.compiled()
    def twice(x):
        return 2 * x

    assert twice(3) == 6
