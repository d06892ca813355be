import importlib

import pytest

from seti.errors import SetiError
from seti.utils import extras


def test_a_package_that_is_missing_names_the_extra():
    extras.check_imports("x=1", "ray", "json")
    for module in ("no_such_module", "no_such_package.module"):
        for check in (extras.check_installed, extras.check_imports):
            with pytest.raises(SetiError) as refused:
                check("x=1", "ray", "json", module)
            assert str(refused.value) == "x=1 needs the extra 'ray', which is not installed: pip install 'seti[ray]'"


@pytest.mark.parametrize("error", ["ImportError('libx.so:\\n no such file')", "RuntimeError('libx.so: no such file')"])
def test_a_package_that_is_damaged_is_named(tmp_path, monkeypatch, error):
    (tmp_path / "half_installed.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    extras.check_installed("x=1", "ray", "half_installed")
    with pytest.raises(SetiError) as refused:
        extras.check_imports("x=1", "ray", "half_installed")
    assert str(refused.value) == (
        f"x=1 needs the package half-installed, which is installed and cannot be imported "
        f"({error.partition('(')[0]}: libx.so: no such file): pip install --force-reinstall half-installed"
    )
