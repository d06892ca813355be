"""Search observations for events: `seti scan cadence=...`.

Settings: conf/scan.yaml.
"""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import ScanConfig


@program.program("scan")
def main(cfg: "ScanConfig") -> None:
    """Search every cadence, and print its events."""
    from seti.search.run import scan

    scan(cfg)


if __name__ == "__main__":
    main()
