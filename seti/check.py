"""Check every cadence of a data set: `seti check data.root=...`.

Settings: conf/check.yaml.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import CheckConfig


@program.program("check")
def main(cfg: "CheckConfig") -> None:
    """Check, report, and end with exit code 1 on errors."""
    from seti.data.integrity import check
    from seti.reports.data_check import report, try_report

    root = Path(cfg.data.root)
    pack_dir = None if cfg.data.pack_dir is None else Path(cfg.data.pack_dir)
    try_report(Path(cfg.report))
    report(check(root, pack_dir, cfg.workers), root, Path(cfg.report))


if __name__ == "__main__":
    main()
