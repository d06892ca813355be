"""Simulate a data set: `seti simulate root=... train=...`.

Settings: conf/simulate.yaml.
"""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.simulation.settings import SimulationSettings


@program.program("simulate")
def main(cfg: "SimulationSettings") -> None:
    """Make the data set, and print the next command."""
    from omegaconf import OmegaConf

    from seti.simulation.dataset import count_needles, simulate
    from seti.utils import hints
    from seti.utils.console import print_next

    root = simulate(OmegaConf.to_object(cfg))
    made = (f"{count} {split} ({needles} with a needle)" for split, (count, needles) in count_needles(root).items())
    print(f"{root}: {', '.join(made)}")
    print_next(hints.command("train", hints.setting("data.root", root)))


if __name__ == "__main__":
    main()
