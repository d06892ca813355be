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
    """Search the data set, write `twins.csv`, and report; with `clean`, subtract the twins."""
    from seti.backgrounds.clean_set import check_folder, clean
    from seti.backgrounds.search import find_twins
    from seti.backgrounds.table import has_twins
    from seti.reports.twins import report, report_cleaned

    root = Path(cfg.data.root)
    pack_dir = None if cfg.data.pack_dir is None else Path(cfg.data.pack_dir)
    if cfg.clean is not None:
        check_folder(root, Path(cfg.clean))
    if cfg.clean is None or not has_twins(root):
        report(find_twins(root, pack_dir, cfg.workers), cfg.data.n_folds, cfg.data.fold_seed, pack_dir)
    if cfg.clean is not None:
        report_cleaned(clean(root, Path(cfg.clean), pack_dir, cfg.workers), root)


if __name__ == "__main__":
    main()
