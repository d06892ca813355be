"""Pack a data set into one file a split: `seti pack data.root=... panels=A`.

Settings: conf/pack.yaml.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import PackConfig


@program.program("pack")
def main(cfg: "PackConfig") -> None:
    """Pack, and print which files were made."""
    from seti.config.checks import choice
    from seti.data.cadence import PANEL_CHOICES
    from seti.data.integrity import SPLITS
    from seti.data.pack_writer import pack_splits

    pack_dir = None if cfg.pack_dir is None else Path(cfg.pack_dir)
    panels, splits = choice(cfg.panels, PANEL_CHOICES), [choice(split, SPLITS) for split in cfg.split]
    for pack in pack_splits(Path(cfg.data.root), splits, panels, pack_dir, cfg.workers, cfg.force):
        manifest = pack.read_manifest()
        print(f"{pack.data}: {manifest['cadences']} cadences, {manifest['bytes'] / 1e9:.3g} GB")


if __name__ == "__main__":
    main()
