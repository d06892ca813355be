"""Score a data set without a network: `seti baseline data.root=...`.

Settings: conf/baseline.yaml.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import BaselineConfig


@program.program("baseline")
def main(cfg: "BaselineConfig") -> float:
    """Print the test AUC of panel statistics, or write an experiment of residual energies."""
    if cfg.score != "brightness":
        return _residual(cfg)
    from seti.evaluation.brightness_baseline import score

    auc = score(Path(cfg.data.root))
    print(f"logistic regression on panel statistics, no network: test AUC {auc:.4f}")
    return auc


def _residual(cfg: "BaselineConfig") -> float:
    from seti.config.baseline_checks import check_baseline
    from seti.inference.untrained import score

    return score(check_baseline(cfg), Path(cfg.out), cfg.workers)


if __name__ == "__main__":
    main()
