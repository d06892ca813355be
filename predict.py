"""Predict the test set: `python predict.py ckpt_dir=outputs/<exp_name>`. Settings: conf/predict.yaml."""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.schema import PredictConfig


@program.program("predict", schema="seti.config.schema")
def main(cfg: "PredictConfig") -> float:
    """Run every finished fold of an experiment over the test set."""
    from seti.inference.predict import predict  # here: help and shell completion need no torch

    return predict(cfg)


if __name__ == "__main__":
    main()
