"""Checks of a training that starts from a release: network and images must be its own."""

from typing import Any

from omegaconf import OmegaConf

from seti.config.schema import TrainConfig
from seti.errors import SetiError

# Settings of the images, which a release fixes. Gaps between panels are drawn while training, and may be others.
IMAGES = ("panels", "layout", "image_size", "normalise", "clip", "remove_spike")
FAN = ("max_drift", "drifts")


def check_release(cfg: TrainConfig) -> None:
    """Refuse a start from a release of another network, or with images it does not know.

    Raises:
        SetiError: naming what to set.
    """
    model = cfg.model
    if model.weights is None:
        return
    from seti.models.release_files import read_release
    from seti.models.release_names import find_release_for

    found = find_release_for(model.weights, model.backbone)
    if found is None:
        return
    for name in ("pool", "stem_stride"):
        if model[name] is not None:
            msg = (
                f"model.{name}={model[name]} changes the network that model.weights={model.weights} belongs to: set "
                f"model.{name}=null"
            )
            raise SetiError(msg)
    wanted = _settings(read_release(found).spec)
    given = OmegaConf.to_container(cfg.data)
    if (given["normalise"], wanted["normalise"]) == ("cleaned", "contrast"):  # which untouched cadences get there, too
        wanted["normalise"] = "cleaned"
    other = [key for key, value in wanted.items() if not _same(_select(given, key), value)]
    if other:
        words = " ".join(f"data.{key}={_word(wanted[key])}" for key in other)
        msg = (
            f"model.weights={model.weights} knows other images than these settings make: set {words} "
            "(experiment=best_cpu sets all of them), or model.weights=null for random weights"
        )
        raise SetiError(msg)


def _settings(spec: dict[str, Any]) -> dict[str, Any]:
    """Keys of `data` that make the images of an input spec, with their values."""
    wanted = {key: spec[key] for key in IMAGES}
    if spec["image_size"] is not None:
        wanted["interpolation"] = spec["interpolation"]
    if spec["dedoppler"]:
        wanted |= {f"dedoppler.{key}": spec["dedoppler"][key] for key in FAN}
    return wanted


def _select(data: dict[str, Any], key: str) -> Any:
    for name in key.split("."):
        data = data[name]
    return data


def _same(given: Any, wanted: Any) -> bool:
    listed = [list(value) if isinstance(value, list | tuple) else value for value in (given, wanted)]
    return listed[0] == listed[1]


def _word(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_word, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
