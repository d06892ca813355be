"""Find cadences that share a background: `seti twins data.root=...`.

Settings: conf/twins.yaml.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import TwinsConfig


@program.program("twins")
def main(cfg: "TwinsConfig") -> None:
    """Search the data set, write `twins.csv`, and report."""
    from seti.backgrounds.search import find_twins
    from seti.reports.twins import report

    pack_dir = None if cfg.data.pack_dir is None else Path(cfg.data.pack_dir)
    report(find_twins(Path(cfg.data.root), pack_dir, cfg.workers), cfg.data.n_folds, cfg.data.fold_seed, pack_dir)


if __name__ == "__main__":
    main()
