"""Settings of a simulated data set."""

from dataclasses import dataclass, field


@dataclass
class SimulationSettings:
    """Settings of a simulated data set; `conf/simulate.yaml` holds their values and meanings.

    Not frozen: Hydra composes it, value by value.
    """

    root: str = field(metadata={"path": True})  # as seti.config.schema.PATH
    train: int
    test: int
    positives: float
    seed: int
    workers: int | None
    force: bool
    snr: list[float]
    max_drift_rate: float
    complete: float
    train_shapes: dict[str, float]
    test_shapes: dict[str, float]
    decoys: dict[str, float]
    shared_backgrounds: float
    background: dict[str, float]
