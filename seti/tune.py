"""Search settings of training: `seti tune 'settings=[...]' 'space=[...]'`.

Settings: conf/tune.yaml.
"""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import TuneConfig


@program.program("tune")
def main(cfg: "TuneConfig") -> float:
    """Run trials until there are enough, and report the best; return its mean AUC."""
    from seti.training.tuning import tune

    return tune(cfg)


if __name__ == "__main__":
    main()
