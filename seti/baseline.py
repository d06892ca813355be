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
    from seti.config.baseline_checks import check_baseline
    from seti.evaluation import brightness_baseline
    from seti.inference import untrained

    if cfg.score != "brightness":
        return untrained.score(check_baseline(cfg), Path(cfg.out), cfg.workers)
    auc = brightness_baseline.score(Path(cfg.data.root))
    print(f"logistic regression on panel statistics, no network: test AUC {auc:.4f}")
    return auc


if __name__ == "__main__":
    main()
