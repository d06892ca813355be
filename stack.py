"""Blend experiments: `python stack.py`. Settings: conf/stack.yaml."""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.stacking.stack import StackConfig


@program.program("stack", schema="seti.stacking.stack")
def main(cfg: "StackConfig") -> float:
    """Blend every finished experiment under `output_dir`, or those named in `experiments`."""
    from seti.stacking.stack import stack  # here: a signal while all of it is imported is answered already

    return stack(cfg)


if __name__ == "__main__":
    main()
