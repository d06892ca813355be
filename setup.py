"""Build step that copies the configuration, `conf/`, into the wheel as `seti/conf/`.

Everything else is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    """Build the package, and copy `conf/` into it. An editable install reads the checkout's."""

    def run(self) -> None:
        """Build."""
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "seti" / "conf"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree("conf", folder)


setup(cmdclass={"build_py": BuildWithConf})
