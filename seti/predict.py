"""Predict the test set: `seti predict ckpt_dir=outputs/<exp_name>`.

Settings: conf/predict.yaml.
"""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.schema import PredictConfig


@program.program("predict")
def main(cfg: "PredictConfig") -> float:
    """Run every finished fold of an experiment over the test set."""
    # Imported here: --help and shell completion need no torch, nor does a refusal.
    from seti.inference.predict_checks import check_predict

    check_predict(cfg)
    from seti.inference.predict import predict

    return predict(cfg)


if __name__ == "__main__":
    main()
