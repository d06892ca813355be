"""Train one configuration: `seti train -m fold=0,1,2,3,4 model=effnet_b1`.

Settings: conf/train.yaml.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from seti.cli import command_line, program

if TYPE_CHECKING:
    from seti.config.schema import TrainConfig


@program.program("train")
def main(cfg: "TrainConfig") -> float:
    """Train one fold, or run the learning-rate range test for it."""
    # Imported here: --help and shell completion need no torch, nor does what is refused by settings and tables alone.
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from seti.config import idle, process_checks, validation
    from seti.data import competition

    if program.in_sweep():
        process_checks.check_launch(sweep=True)
    validation.check_settings(cfg)
    idle.log_idle_settings(cfg, command_line.recorded())
    competition.read_labels(Path(cfg.data.root))
    from seti.reports import cross_validation
    from seti.training import fold, lr_range
    from seti.utils.console import near

    folder = Path(HydraConfig.get().runtime.output_dir)
    if cfg.lr_range_test:
        score = lr_range.run(cfg, folder)
        report = partial(lr_range.collect, near(folder.parent.parent))
    else:
        job_logging = OmegaConf.to_yaml(HydraConfig.get().job_logging, resolve=True)
        score = fold.train(cfg, command_line.recorded(), folder, job_logging)
        report = partial(cross_validation.report, near(folder.parent), command_line.recorded())
    if not program.in_sweep():  # a sweep is reported once, by seti.cli.sweep_report.SweepReport
        report()
    return score


if __name__ == "__main__":
    main()
