"""Settings of a release: its networks, their input, how they are trained and for how long."""

from dataclasses import asdict, dataclass, field
from typing import Any

# Input of every released network, as `seti.transforms.input_spec.InputSpec` names it.
SPEC: dict[str, Any] = {
    "panels": "all",
    "layout": "dedoppler",
    "image_size": None,
    "interpolation": "linear",
    "rows": 273,
    "bins": 256,
    "normalise": "contrast",
    "clip": [-4.0, 10.0],
    "remove_spike": False,
    "dedoppler": {"max_drift": 32.0, "drifts": 33, "gap": [0.0, 56.0]},
}
FOLDS = 5  # a cadence of the stream belongs to fold `index % FOLDS`
# The networks of the package's releases.
NETWORKS: dict[str, dict[str, Any]] = {
    "needle_net": {"backbone": "needle_net_swift", "folds": list(range(FOLDS))},
    "needle_net_broad": {"backbone": "needle_net_broad", "folds": [0]},
}


@dataclass(frozen=True)
class Settings:
    """Settings of one training.

    Attributes:
        networks: of each release, by its name: `backbone`, a name of timm's; `options` of it; `normalise`, if not that
            of the specification; `folds`: a member a fold, which never trains on that fold.
        seed: of the stream, the initial weights and every random move.
        cadences: distinct cadences after which training ends; None for no such limit.
        minutes: of training after which it ends; None for no such limit. The learning rate follows the nearer limit.
        arrivals: new cadences a batch.
        uses: optimisation steps for each batch of arrivals. The first is on the arrivals; the others draw as many
            cadences from the latest `replay`, with other moves.
        replay: cadences that are kept on the device, 0.84 MB each.
        lr: highest learning rate.
        weight_decay: of all weights.
        rise: share of the training in which the learning rate rises.
        decay: of the moving average of the weights.
        smoothing: label smoothing.
    """

    networks: dict[str, dict[str, Any]] = field(default_factory=lambda: NETWORKS)
    seed: int = 0
    cadences: int | None = None
    minutes: float | None = None
    arrivals: int = 64
    uses: int = 1
    replay: int = 0
    lr: float = 3e-3
    weight_decay: float = 1e-2
    rise: float = 0.1
    decay: float = 0.999
    smoothing: float = 0.0

    def plain(self) -> dict[str, Any]:
        """As a dict of plain values, for a checkpoint and for the record of the release."""
        return asdict(self)
