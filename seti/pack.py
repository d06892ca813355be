"""Pack a data set into one file a split: `seti pack data.root=... panels=A`. Settings: conf/pack.yaml."""

from pathlib import Path
from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import PackConfig


@program.program("pack")
def main(cfg: "PackConfig") -> None:
    """Pack, and print which files were made."""
    from seti.data.pack_writer import pack_splits

    pack_dir = None if cfg.pack_dir is None else Path(cfg.pack_dir)
    for pack in pack_splits(Path(cfg.data.root), cfg.split, cfg.panels, pack_dir, cfg.workers, cfg.force):
        manifest = pack.read_manifest()
        print(f"{pack.data}: {manifest['cadences']} cadences, {manifest['bytes'] / 1e9:.3g} GB")


if __name__ == "__main__":
    main()
