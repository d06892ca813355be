"""Settings of a simulated data set."""

from dataclasses import asdict, dataclass, field
from typing import Any

from seti.simulation.observation_settings import CadenceSettings

PRODUCTS = ("snippets", "cadence")
OTHER_PRODUCTS = ("product", "cadence")  # settings without effect on snippets


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
    product: str = "snippets"
    cadence: CadenceSettings = field(default_factory=CadenceSettings)

    def recorded(self) -> dict[str, Any]:
        """Settings that the bytes of a data set of snippets follow from."""
        return {k: v for k, v in asdict(self).items() if k not in ("root", "workers", "force", *OTHER_PRODUCTS)}
