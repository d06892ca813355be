"""Words for a release: `pretrained`, `pretrained/<name>`, or a folder."""

from pathlib import Path

from seti.errors import SetiError

PRETRAINED = "pretrained"  # in place of a folder or file: the networks that come with the package
DEFAULT = "needle_net"
SHIPPED = (DEFAULT, "needle_net_broad")  # of every installation


def find_release_for(written: str, backbone: str) -> str | Path | None:
    """Find the release that `model.weights` means for a backbone.

    Args:
        written: value of `model.weights`; `pretrained` is the release of that backbone.
        backbone: name of the network.

    Returns:
        As `find_release`.

    Raises:
        SetiError: there is no such release, or it is one of another network.
    """
    from seti.models.release_files import read_release, released_names

    fitting = [name for name in released_names() if read_release(name).backbone == backbone]
    release = fitting[0] if written == PRETRAINED and fitting else find_release(written)
    if release is not None and read_release(release).backbone != backbone:
        own = read_release(release).backbone
        msg = (
            f"model.weights={written} are weights of {own}, not of model.backbone={backbone}: set model.backbone={own} "
            "(model=needle_net_released sets both)"
        )
        raise SetiError(msg)
    return release


def find_release(written: str | Path) -> str | Path | None:
    """Find the release that a setting means.

    Args:
        written: value of `ckpt_dir` or `model.weights`.

    Returns:
        A name in `seti.models.release_files.released_names`, or a folder with the record of a release; None for
        anything else.

    Raises:
        SetiError: `pretrained/<name>` is not a release of the package, or its files are gone.
    """
    from seti.models.release_files import PACKAGED, RECORD, released_names

    word, _, name = str(written).partition("/")
    if word == PRETRAINED:
        name = name.strip("/") or DEFAULT
        known = released_names()
        if name not in known:
            if name in SHIPPED:
                msg = f"the release {name} of this package has no {PACKAGED / name / RECORD}: install the package again"
                raise SetiError(msg)
            named = ", ".join(f"{PRETRAINED}/{one}" for one in known) or "none"
            msg = f"{written} is not a release of this package, which has {named}"
            raise SetiError(msg)
        return name
    return Path(written) if (Path(written) / RECORD).is_file() else None


def written_as(release: str | Path) -> str:
    """Value of `model.weights` or `ckpt_dir` for a release, from `find_release`."""
    return str(release) if isinstance(release, Path) else f"{PRETRAINED}/{release}"
