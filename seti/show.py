"""Draw cadences: `seti show 'ids=[0028a35de92941d]'`.

Settings: conf/show.yaml.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import ShowConfig


@program.program("show")
def main(cfg: "ShowConfig") -> None:
    """Draw cadences, an experiment's gallery or labelled events, and print the figures' paths."""
    from seti.reports.gallery import show

    if cfg.scan is not None:
        from seti.reports.labelled_events import show_events

        for path in show_events(cfg):
            print(path)
        return
    root = None if cfg.data.root is None else Path(cfg.data.root)
    ckpt_dir = None if cfg.ckpt_dir is None else Path(cfg.ckpt_dir)
    labels = None if cfg.labels is None else Path(cfg.labels)
    for path in show(list(cfg.ids), Path(cfg.out), root, ckpt_dir, labels):
        print(path)


if __name__ == "__main__":
    main()
