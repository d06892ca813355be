"""Score a data set by brightness alone: `seti baseline data.root=...`. Settings: conf/baseline.yaml."""

from pathlib import Path
from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import BaselineConfig


@program.program("baseline")
def main(cfg: "BaselineConfig") -> float:
    """Print the test AUC of a logistic regression on panel statistics."""
    from seti.evaluation.brightness_baseline import score

    auc = score(Path(cfg.data.root))
    print(f"logistic regression on panel statistics, no network: test AUC {auc:.4f}")
    return auc


if __name__ == "__main__":
    main()
