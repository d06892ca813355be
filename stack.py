"""Blend experiments: `python stack.py`. Settings: conf/stack.yaml."""

import hydra

from seti import entry
from seti.blending import StackConfig, stack


@hydra.main(version_base="1.3", config_path="conf", config_name="stack")
@entry.command
def main(cfg: StackConfig) -> float:
    """Blend every finished experiment under `output_dir`, or those named in `experiments`."""
    return stack(cfg)


if __name__ == "__main__":
    main()
