"""Settings of a simulated data set."""

from dataclasses import asdict, dataclass, field
from typing import Any

from seti.simulation.observation_settings import CadenceSettings, SnippetSettings

GENERATORS = ("setigen", "crowded", "radiometer")  # of different making than snippets
PRODUCTS = ("snippets", "observation", "cadence", *GENERATORS, "wide")
SIZES = ("train", "test", "positives", "seed")  # of every data set
# Settings of a data set of an observation's snippets; the others are those of the competition's layout.
COMMON = (*SIZES, "snr", "max_drift_rate")


@dataclass
class FieldSettings:
    """Group `fields` of `conf/simulate.yaml`: spectra that several cadences are cut from.

    Not frozen: Hydra composes it, value by value.
    """

    width: int = 512
    cuts: list[int] = field(default_factory=lambda: [2, 5])
    both_splits: float | None = None
    rfi: float = 0.0


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
    fields: FieldSettings = field(default_factory=FieldSettings)
    observation: SnippetSettings = field(default_factory=SnippetSettings)
    cadence: CadenceSettings = field(default_factory=CadenceSettings)

    def recorded(self) -> dict[str, Any]:
        """Settings that the bytes of a data set follow from."""
        given = asdict(self)
        if self.product in GENERATORS:
            return {"product": self.product, **{name: given[name] for name in (*COMMON, "complete")}}
        if self.product == "wide":
            return {"product": self.product, **{name: given[name] for name in SIZES}}
        if self.product == "observation":
            return {"product": self.product, **{name: given[name] for name in (*COMMON, "observation")}}
        left_out = ["root", "workers", "force", *PRODUCTS, "product"]
        if self.fields == FieldSettings():  # sets that were made before there was a choice have no such entry
            left_out.append("fields")
        return {name: value for name, value in given.items() if name not in left_out}
