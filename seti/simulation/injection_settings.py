"""Settings of the injection of signals into observations."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class InjectionSettings:
    """Settings of `conf/inject.yaml` that say what is injected.

    Not frozen: Hydra composes it, value by value.
    """

    channels: Any = None
    feed: int = 0
    needles: int = 10
    decoys: int = 0
    snr: list[float] = field(default_factory=lambda: [8.0, 80.0])
    decoy_snr: list[float] = field(default_factory=lambda: [30.0, 300.0])
    max_drift_rate: float = 4.0
    max_width_hz: float = 4.0
    curved: float = 0.0
    scintillating: float = 0.0
    seed: int = 0
