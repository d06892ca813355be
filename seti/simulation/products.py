"""Products of the simulator: data sets of snippets, or six observations."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from seti.errors import SetiError
from seti.simulation.settings import PRODUCTS, SimulationSettings
from seti.utils import hints

# Not the default network, an EfficientNet on images of 512 x 512: it takes hours without a GPU.
FOLDS = 5  # data.n_folds of both
LAPTOP = ("-m", "fold=0,1,2,3,4", "experiment=best_cpu")
RECIPE = ("experiment=judge",)  # snippets of observations: for networks that judge the candidates of seti scan


@dataclass(frozen=True)
class Made:
    """Product that was made.

    Attributes:
        summary: what there is, in one line.
        command: name of the command that goes on with it.
        words: that command's settings.
    """

    summary: str
    command: str
    words: tuple[str, ...]


def make(settings: SimulationSettings) -> Made:
    """Make the product that the settings name.

    Raises:
        SetiError: a setting cannot work, the folder cannot be written or holds something else, or a package is missing.
    """
    if settings.product not in PRODUCTS:
        near = difflib.get_close_matches(settings.product, PRODUCTS, 1, 0)
        msg = f"product={settings.product!r} is none: did you mean {near[0]!r}? There are {', '.join(PRODUCTS)}"
        raise SetiError(msg)
    if settings.seed < 0:
        msg = f"seed={settings.seed} must be 0 or more"
        raise SetiError(msg)
    return _cadence(settings) if settings.product == "cadence" else _data_set(settings)


def _data_set(settings: SimulationSettings) -> Made:
    from seti.simulation.dataset import count_needles, simulate, size
    from seti.simulation.generated import simulate_generated
    from seti.simulation.observation_snippets import simulate_snippets

    made_by = {"snippets": simulate, "observation": simulate_snippets}.get(settings.product, simulate_generated)
    root = made_by(settings)
    counts = count_needles(root)
    made = (f"{count} {split} ({needles} with a needle)" for split, (count, needles) in counts.items())
    written = sum(path.stat().st_size for split in counts for path in (root / split).glob("*/*.npy"))
    summary = f"{root}: {', '.join(made)}, {size(written)}"
    place = hints.setting("data.root", root)
    if not counts["train"][0]:
        return Made(summary, "check", (place,))
    count, needles = counts["train"]
    folds = min(FOLDS, needles, count - needles)  # every fold needs a cadence of each class
    if folds < 2:
        return Made(f"{summary}; training needs two cadences of each class", "check", (place,))
    words = RECIPE if settings.product == "observation" else LAPTOP
    if folds < FOLDS and words is LAPTOP:
        words = ("-m", f"fold={','.join(map(str, range(folds)))}", *LAPTOP[2:])
    fewer = (f"data.n_folds={folds}",) if folds < FOLDS else ()
    return Made(summary, "train", (*words, *fewer, place))


def _cadence(settings: SimulationSettings) -> Made:
    from seti.simulation.observation import simulate_cadence

    size = settings.cadence
    limits = {"snr": list(settings.snr), "max_drift_rate": settings.max_drift_rate}
    root = simulate_cadence(size, Path(settings.root), settings.seed, limits, settings.force)
    summary = (
        f"{root}: six observations of {size.coarse_channels} coarse channels, with {size.needles} needles and "
        f"{size.decoys} decoys (truth.csv)"
    )
    width = (f"coarse_width={size.coarse_width}",) if size.format == "fil" else ()
    return Made(summary, "scan", (hints.setting("cadence", root), *width))
