"""Draw cadences: `python -m seti.show 'ids=[0028a35de92941d]'`. Settings: conf/show.yaml."""

from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from seti.cli import program
from seti.errors import SetiError
from seti.experiments.experiment import open_experiment
from seti.reports.gallery import data_root, draw_experiment_gallery, draw_ids


@dataclass
class ShowDataConfig:
    """Where the cadences are."""

    root: str | None = None


@dataclass
class ShowConfig:
    """Everything `seti.show` reads."""

    data: ShowDataConfig = field(default_factory=ShowDataConfig)
    ids: list[str] = MISSING
    ckpt_dir: str | None = None
    out: str = MISSING


ConfigStore.instance().store(name="show_schema", node=ShowConfig)


def show(cfg: ShowConfig) -> list[Path]:
    """Draw the cadences in `ids`, or without ids an experiment's gallery.

    Args:
        cfg: `conf/show.yaml`.

    Returns:
        The figures' paths, which are also printed.

    Raises:
        SetiError: nothing to draw, an id that no table lists, or a damaged file.
    """
    experiment = None if cfg.ckpt_dir is None else open_experiment(Path(cfg.ckpt_dir))
    root = data_root(experiment) if cfg.data.root is None else Path(cfg.data.root)
    if not cfg.ids and experiment is None:
        msg = "nothing to draw: give ids=[<id>,...], or ckpt_dir=outputs/<exp_name> for an experiment's gallery"
        raise SetiError(msg)
    if cfg.ids:
        paths = draw_ids(list(cfg.ids), root, Path(cfg.out), experiment)
    else:
        paths = [draw_experiment_gallery(experiment, root)]
    for path in paths:
        print(path)
    return paths


@program.program("show")
def main(cfg: ShowConfig) -> None:
    """Draw cadences, or an experiment's gallery."""
    show(cfg)


if __name__ == "__main__":
    main()
