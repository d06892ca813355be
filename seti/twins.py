"""Find cadences that share a background: `seti twins data.root=...`.

Settings: conf/twins.yaml.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from seti.cli import program
from seti.errors import SettingsError

if TYPE_CHECKING:
    from seti.config.commands import TwinsConfig


@program.program("twins")
def main(cfg: "TwinsConfig") -> None:
    """Search the data set, write `twins.csv`, and report; with `clean`, subtract the twins."""
    from seti.backgrounds.clean_set import check_folder, clean
    from seti.backgrounds.search import find_in_shards, find_twins
    from seti.backgrounds.table import has_twins
    from seti.reports.twins import report, report_cleaned
    from seti.utils.shards import parse_shard

    shard = parse_shard(cfg.shard)
    if shard is not None and cfg.clean is not None:
        msg = (
            f"shard={cfg.shard} is of the search, and clean={cfg.clean} is of all cadences: search in shards first, "
            "and then give clean without shard"
        )
        raise SettingsError(msg)
    root = Path(cfg.data.root)
    pack_dir = None if cfg.data.pack_dir is None else Path(cfg.data.pack_dir)
    if cfg.clean is not None:
        check_folder(root, Path(cfg.clean))
    if shard is not None:
        found = find_in_shards(root, pack_dir, cfg.workers, shard)
        if found is not None:
            report(found, cfg.data.n_folds, cfg.data.fold_seed, pack_dir)
    elif cfg.clean is None or not has_twins(root):
        report(find_twins(root, pack_dir, cfg.workers), cfg.data.n_folds, cfg.data.fold_seed, pack_dir)
    if cfg.clean is not None:
        report_cleaned(clean(root, Path(cfg.clean), pack_dir, cfg.workers), root)


if __name__ == "__main__":
    main()
