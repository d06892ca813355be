"""Simulate a data set, or observations: `seti simulate root=... train=...`.

Settings: conf/simulate.yaml.
"""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.simulation.settings import SimulationSettings


@program.program("simulate")
def main(cfg: "SimulationSettings") -> None:
    """Make what `product` names, and print the next command."""
    from omegaconf import OmegaConf

    from seti.config.checks import choice
    from seti.simulation.products import make
    from seti.simulation.settings import PRODUCTS
    from seti.utils import hints
    from seti.utils.console import print_next

    cfg.product = choice(cfg.product, PRODUCTS)
    cfg.cadence.format = choice(cfg.cadence.format, ("h5", "fil"))
    made = make(OmegaConf.to_object(cfg))
    print(made.summary)
    print_next(hints.command(made.command, *made.words))


if __name__ == "__main__":
    main()
