"""Opening a split: from a pack or from files, with or without its damaged cadences."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seti.data import competition
from seti.data.pack_reader import PackedCadences, open_packed, pack_command, pack_folder
from seti.data.screening import find_damaged, usual_size
from seti.data.sources import CadenceFiles, CadenceSource
from seti.errors import SetiError
from seti.utils import hints

log = logging.getLogger(__name__)

INSTEAD = ", or set data.on_error=skip"  # ends messages about damaged cadences


@dataclass(frozen=True)
class OpenedSplit:
    """The readable cadences of a split.

    Attributes:
        source: the cadences, in the order of the ids given.
        skipped: reason by id of every cadence that is left out; empty unless `on_error` is `skip`.
    """

    source: CadenceSource
    skipped: dict[str, str]


def open_split(
    root: Path,
    split: str,
    ids: Sequence[str] | np.ndarray,
    panels: tuple[int, ...],
    packed: str = "auto",
    pack_dir: str | Path | None = None,
    on_error: str = "raise",
    size: tuple[int, int] | None = None,
) -> OpenedSplit:
    """Open a split's cadences: a complete, up-to-date pack where there is one, else the files.

    Files are checked by name and length. With `on_error=skip`, every cadence is also read once.

    Args:
        root: the data set's folder.
        split: `train` or `test`.
        ids: `(N,)` text.
        panels: which of the six are read.
        packed: `auto`, `true` or `false`: `true` accepts only a pack, `false` looks for none.
        pack_dir: folder of the packs; None: `<root>/packed`.
        on_error: `raise` on missing and damaged cadences, or `skip` them.
        size: `(rows, bins)` that every panel must have. None: the pack's, the first cadence's, or with `skip` that of
            most of the first readable cadences.

    Raises:
        SetiError: `packed` is `true` and no pack serves; the pack's panels have another size; with `raise`, files are
            missing or of another length than most; with `skip`, no cadence is left.
    """
    ids, total = np.asarray(ids, dtype=np.str_), len(ids)
    pack, reason = (None, "") if packed == "false" else open_packed(root, split, ids, panels, pack_dir)
    skipped: dict[str, str] = {}
    if pack is not None:
        _check_pack_size(pack, size)
        source: CadenceSource = pack
    elif packed == "true":
        reason = reason or (
            f"{pack_folder(root, pack_dir)} has no pack of {split} with these panels: "
            f"{pack_command(root, panels, pack_dir)}"
        )
        msg = f"data.packed=true, but {reason} (data.packed=auto reads the files instead)"
        raise SetiError(msg)
    else:
        if on_error == "raise":
            competition.check_files(root, split, ids.tolist(), INSTEAD)
        else:
            skipped = competition.find_unfit(root, split, ids.tolist())
            ids = _leave_out(ids, skipped)
            size = size or usual_size(root, split, ids)
            if size is None:
                raise SetiError(_none_left(root, split, {}))
        source = CadenceFiles(root, split, ids, panels, size, reason)
    log.info("%s cadences are read from %s", split, source.description)
    if on_error == "skip":
        skipped |= find_damaged(source)
        if skipped:
            source = source.take(np.flatnonzero(~np.isin(source.ids, list(skipped))))
            warn_of_skipped(skipped, total, split)
    if not len(source):
        raise SetiError(_none_left(root, split, skipped))
    return OpenedSplit(source, skipped)


def _check_pack_size(pack: PackedCadences, size: tuple[int, int] | None) -> None:
    if size is not None and (pack.rows, pack.bins) != size:
        msg = f"the pack {pack.pack.data} has panels of {pack.rows} x {pack.bins}, not of {size[0]} x {size[1]}"
        raise SetiError(msg)


def _leave_out(ids: np.ndarray, skipped: dict[str, str]) -> np.ndarray:
    return ids[~np.isin(ids, list(skipped))] if skipped else ids


def warn_of_skipped(skipped: dict[str, str], total: int, split: str = "") -> None:
    """Warn of cadences that are left out, and give the reasons of the first three."""
    first = "; ".join(f"{i}: {_as_skipped(reason)}" for i, reason in list(skipped.items())[:3])
    more = "; ..." if len(skipped) > 3 else ""
    of = f"{split} cadences".lstrip()
    log.warning("data.on_error=skip leaves out %d of %d %s: %s%s", len(skipped), total, of, first, more)


def _as_skipped(reason: str) -> str:
    """Leave out the advice at the end, of which the cadence has no need any more."""
    return re.sub(r"[:;] (scale, )?remove or replace the file$", "", reason)


def _none_left(root: Path, split: str, skipped: dict[str, str]) -> str:
    first = f" (first {next(iter(skipped))}: {next(iter(skipped.values()))})" if skipped else ""
    command = hints.command("check", hints.setting("data.root", root))
    return f"{root / split} has no cadence that can be read{first}: {command} lists them"
