"""Blend experiments: `python stack.py`. Settings: conf/stack.yaml."""

from typing import TYPE_CHECKING

from seti import entry

if TYPE_CHECKING:
    from seti.blending import StackConfig


@entry.program("stack", schema="seti.blending")
def main(cfg: "StackConfig") -> float:
    """Blend every finished experiment under `output_dir`, or those named in `experiments`."""
    from seti.blending import stack  # here: a signal while all of it is imported is answered already

    return stack(cfg)


if __name__ == "__main__":
    main()
