"""Blend experiments: `seti stack`. Settings: conf/stack.yaml."""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import StackConfig


@program.program("stack")
def main(cfg: "StackConfig") -> float:
    """Blend every finished experiment under `output_dir`, or those named in `experiments`."""
    from seti.stacking.stack import stack

    return stack(cfg)


if __name__ == "__main__":
    main()
