"""Settings of a simulated data set."""

from dataclasses import asdict, dataclass, field
from typing import Any

from seti.simulation.observation_settings import CadenceSettings, SnippetSettings

PRODUCTS = ("snippets", "observation", "cadence", "setigen", "crowded", "radiometer", "wide")
SIZES = ("train", "test", "positives", "seed")  # of every data set
# Settings of a data set of an observation's snippets; the others are those of the competition's layout.
COMMON = (*SIZES, "snr", "max_drift_rate")


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
    observation: SnippetSettings = field(default_factory=SnippetSettings)
    cadence: CadenceSettings = field(default_factory=CadenceSettings)

    def recorded(self) -> dict[str, Any]:
        """Settings that the bytes of a data set follow from."""
        given = asdict(self)
        if self.product in ("setigen", "crowded", "radiometer"):
            return {"product": self.product, **{name: given[name] for name in (*COMMON, "complete")}}
        if self.product == "wide":
            return {"product": self.product, **{name: given[name] for name in SIZES}}
        if self.product == "observation":
            return {"product": self.product, **{name: given[name] for name in (*COMMON, "observation")}}
        return {k: v for k, v in given.items() if k not in ("root", "workers", "force", *PRODUCTS, "product")}
