"""Write a page for the browser: `seti report ckpt_dir=outputs/<exp_name>`.

Settings: conf/report.yaml.
"""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import ReportConfig


@program.program("report")
def main(cfg: "ReportConfig") -> None:
    """Write the report of one experiment, or of several side by side."""
    from seti.reports.pages.report import report

    report(cfg)


if __name__ == "__main__":
    main()
