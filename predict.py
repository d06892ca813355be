"""Predict the test set: `python predict.py ckpt_dir=outputs/<exp_name>`. Settings: conf/predict.yaml."""

import hydra

from seti import entry
from seti.config import PredictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="predict")
@entry.command
def main(cfg: PredictConfig) -> float:
    """Run every finished fold of an experiment over the test set."""
    from seti.prediction import predict  # here: help and shell completion need no torch

    return predict(cfg)


if __name__ == "__main__":
    main()
