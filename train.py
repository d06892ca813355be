"""Train one configuration: `python train.py -m fold=0,1,2,3,4 model=effnet_b1`. Settings: conf/train.yaml."""

from pathlib import Path
from typing import TYPE_CHECKING

from seti import entry

if TYPE_CHECKING:
    from seti.config import TrainConfig


@entry.program("train", schema="seti.config")
def main(cfg: "TrainConfig") -> float:
    """Train one fold, or run the learning-rate range test for it."""
    # Here: --help and shell completion need no torch.
    from hydra.core.hydra_config import HydraConfig

    from seti import crossval, lr_range, training

    folder = Path(HydraConfig.get().runtime.output_dir)
    if cfg.lr_range_test:
        score = lr_range.run(cfg, folder)
        report, of = lr_range.collect, folder.parent.parent
    else:
        score = training.train(cfg)
        report, of = crossval.report, folder.parent
    if not entry.in_sweep():  # a sweep is reported once, by seti.sweep.SweepReport
        report(of)
    return score


if __name__ == "__main__":
    main()
