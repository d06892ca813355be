"""Cadences of observations: six filterbank files in time order, ON and OFF the target.

A cadence is given as six files in any order, as a folder that holds them, as a pattern such as `data/*HIP*.h5`, or as a
table of many cadences: a `.csv` with a row a file and the columns

- `cadence`: the cadence's name, the same in its six rows
- `file`: the observation; a relative path is relative to the folder of the csv
- `pattern` (not required): ON and OFF, as in `find_cadences`; the same in its six rows, empty to go by source names

Further columns are ignored.
"""

import glob
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seti.data.observation import SUFFIXES, Header, read_header
from seti.data.tables import read_table
from seti.errors import SetiError, brief

PANELS = 6
DAY = 86400.0  # s
LONGEST_PAUSE = 2 * 3600.0  # s between panels; slews take a minute
OFF_NAME = re.compile(r"[_\-. ](off|reference|ref|r)[_\-. ]?\d*$", re.IGNORECASE)  # HIP123_OFF; _R at Parkes
COARSER_PRODUCT = re.compile(r"rawspec\.000[1-9]\.", re.IGNORECASE)


@dataclass(frozen=True)
class ObservationCadence:
    """Six observations in time order that belong together.

    Attributes:
        files: their paths.
        headers: their headers.
        on: for each, True if it points at the target.
        name: the cadence's name in a csv; else empty.
    """

    files: tuple[Path, ...]
    headers: tuple[Header, ...]
    on: tuple[bool, ...]
    name: str = ""

    @property
    def source(self) -> str:
        """Name of the target."""
        return self.headers[self.on.index(True)].source

    @property
    def mjd(self) -> float:
        """Begin of the first observation, in days (MJD)."""
        return self.headers[0].tstart_mjd

    @property
    def panel_start_s(self) -> tuple[float, ...]:
        """Seconds from the first row of panel 0 to the first row of each panel."""
        return tuple((header.tstart_mjd - self.mjd) * DAY for header in self.headers)

    @property
    def header(self) -> Header:
        """Header of the first observation; frequencies and resolution are those of all six."""
        return self.headers[0]


def find_cadences(
    where: str | Path | Sequence[str | Path], pattern: str | None = None, coarse_width: int | None = None
) -> list[ObservationCadence]:
    """Find the cadences that the user names; only headers are read.

    Args:
        where: six files, a folder that holds them, a pattern such as `data/*.h5`, or a `.csv` of many cadences.
        pattern: six letters in time order, A for the target (`ABACAD`, `ABABAB`); None to go by source names.
        coarse_width: number of fine channels in a coarse channel; None to find it in the headers.

    Raises:
        SetiError: there are not six files, one cannot be read, they do not belong together, or ON and OFF cannot be
            distinguished.
    """
    if pattern is not None:
        check_pattern(pattern)
    if isinstance(where, str | Path) and Path(where).suffix.lower() == ".csv":
        return _from_table(Path(where), pattern, coarse_width)
    return [_cadence(_named_files(where), pattern, coarse_width, _shown(where))]


def check_pattern(pattern: str) -> tuple[bool, ...]:
    """Convert a pattern of six letters, A for the target, to ON (True) and OFF.

    Raises:
        SetiError: it has not three ON and three OFF observations.
    """
    letters = str(pattern).strip().upper()
    on = tuple(letter == "A" for letter in letters)
    if len(on) != PANELS or not letters.isalpha() or sum(on) != PANELS // 2:
        msg = (
            f"pattern={brief(pattern)} must be six letters in time order, three of them A for the target: "
            "ABACAD, or ABABAB"
        )
        raise SetiError(msg)
    return on


def _shown(where: object) -> str:
    return str(where) if isinstance(where, str | Path) else "cadence"


def _named_files(where: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(where, str | Path):
        return [Path(one) for one in where]
    path = Path(where)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        if not found:
            msg = f"{path} holds no .h5 and no .fil file: set cadence to the folder of six observations"
            raise SetiError(msg)
        fine = [p for p in found if not COARSER_PRODUCT.search(p.name)]
        # An archive keeps the products of other resolution in the same folder.
        return fine if len(found) > PANELS and fine else found
    if path.is_file():
        return [path]
    matches = sorted(glob.glob(str(where))) if glob.has_magic(str(where)) else []  # noqa: PTH207 - absolute patterns
    if matches:
        return [Path(one) for one in matches]
    msg = f"{where} does not exist: set cadence to six observations (.h5 or .fil), a folder of them, or a .csv"
    raise SetiError(msg)


def _from_table(path: Path, pattern: str | None, coarse_width: int | None) -> list[ObservationCadence]:
    if not path.is_file():
        msg = f"{path} does not exist: set cadence to a .csv with the columns cadence and file"
        raise SetiError(msg)
    read = read_table(path, ["cadence", "file"], ("pattern",))
    read.say_how_it_was_read()
    table = read.columns
    if table.empty:
        msg = f"{path} names no cadence: it needs a row a file, with the columns cadence and file"
        raise SetiError(msg)
    for name in ("cadence", "file"):
        if (table[name] == "").any():
            row = int((table[name] == "").to_numpy().argmax()) + 1
            msg = f"{path} has no {name} in row {row} after the header: fill it in"
            raise SetiError(msg)
    cadences = []
    for name, rows in table.groupby("cadence", sort=False):
        stated = [one for one in rows["pattern"].unique() if one] if "pattern" in rows else []
        if len(stated) > 1:
            msg = f"{path} gives cadence {brief(name)} several patterns ({brief(', '.join(stated))}): give it one"
            raise SetiError(msg)
        own = stated[0] if stated else pattern
        if own is not None:
            check_pattern(own)
        named = [path.parent / one for one in rows["file"]]
        found = _cadence(named, own, coarse_width, f"cadence {brief(name)} of {path}")
        cadences.append(replace(found, name=name))
    return cadences


def _cadence(paths: list[Path], pattern: str | None, coarse_width: int | None, where: str) -> ObservationCadence:
    if len(paths) != PANELS:
        number = f"{len(paths)} file{'s' * (len(paths) != 1)}"
        names = f" ({brief(', '.join(path.name for path in paths), 300)})" if paths else ""
        msg = f"{where} has {number}{names}, and a cadence is six observations: name those six"
        raise SetiError(msg)
    _refuse_repeated(paths)
    headers = sorted((read_header(path, coarse_width) for path in paths), key=lambda header: header.tstart_mjd)
    _check_times(headers)
    _check_alike(headers)
    on = check_pattern(pattern) if pattern is not None else on_by_source([header.source for header in headers])
    return ObservationCadence(tuple(header.path for header in headers), tuple(headers), on)


def on_by_source(sources: Sequence[str]) -> tuple[bool, ...]:
    """Distinguish ON from OFF by the names of six sources in time order.

    OFF are names that say so (`HIP123_OFF`, `HIP123_R`). Without such names, ON is the source that is observed three
    times; of two, it is the first (`ABABAB`).

    Raises:
        SetiError: the names leave it open.
    """
    names = [source.strip() for source in sources]
    on = _on_by_marks(names)
    if on is None:
        counts = Counter(names)
        three = [name for name, count in counts.items() if count == PANELS // 2]  # in time order
        on = tuple(name == three[0] for name in names) if three and three[0] else None
    if on is None:
        msg = (
            f"the sources in time order are {brief(', '.join(name or '(none)' for name in names), 300)}: which of them "
            "are ON the target does not follow from that; set pattern, such as pattern=ABACAD (A is the target)"
        )
        raise SetiError(msg)
    return on


def _on_by_marks(names: list[str]) -> tuple[bool, ...] | None:
    """Go by names of OFF positions; None if they do not leave one target, observed three times."""
    targets = {name for name in names if not OFF_NAME.search(name)}
    on = tuple(name in targets for name in names)
    return on if len(targets) == 1 and sum(on) == PANELS // 2 and "" not in targets else None


def _refuse_repeated(paths: Iterable[Path]) -> None:
    seen: dict[Path, Path] = {}
    for path in paths:
        real = path.resolve()
        if real in seen:
            also = f" (as {seen[real]} too)" if seen[real] != path else ""
            msg = f"{path} is named twice{also}: a cadence is six different observations"
            raise SetiError(msg)
        seen[real] = path


def _check_times(headers: list[Header]) -> None:
    """Refuse observations that are the same one, overlap, or lie too far apart."""
    for before, after in itertools.pairwise(headers):
        pause = (after.tstart_mjd - before.tstart_mjd) * DAY - before.length_s
        if after.tstart_mjd == before.tstart_mjd:
            msg = (
                f"{before.path} and {after.path} begin at the same time (MJD {before.tstart_mjd:.6f}): "
                "they are the same observation; replace one of them"
            )
        elif pause < -before.tsamp_s:
            msg = (
                f"{after.path} begins {-pause:.0f} s before {before.path} ends: they are not of one cadence; "
                "replace one"
            )
        elif pause > LONGEST_PAUSE:
            msg = (
                f"{after.path} begins {pause / 3600:.1f} hours after {before.path} ends: they are not of one cadence; "
                "replace one"
            )
        else:
            continue
        raise SetiError(msg)


def _check_alike(headers: list[Header]) -> None:
    """Refuse an observation of another resolution, length or frequency range than the others."""
    facts = (
        ("resolution", lambda h: h.resolution_hz, 1e-9, "channels of {:.6f} Hz"),
        ("resolution", lambda h: h.tsamp_s, 1e-6, "rows of {:.6f} s"),
        ("number of rows", lambda h: h.rows, 0, "{} rows"),
        ("frequency range", lambda h: h.channels, 0, "{} channels"),
        ("frequency range", lambda h: h.lowest_mhz, None, "channels from {:.6f} MHz upwards"),
        ("frequency order", lambda h: h.ascending, 0, "frequencies that rise in the file: {}"),
        ("number of polarisations", lambda h: h.feeds, 0, "{} polarisations"),
        ("telescope", lambda h: h.telescope_id, 0, "telescope_id={}"),
        ("width of coarse channels", lambda h: h.coarse_width, 0, "coarse channels of {} channels"),
    )
    for name, value, relative, text in facts:
        values = [value(header) for header in headers]
        absolute = headers[0].resolution_hz * 1e-6 / 2 if relative is None else 0.0
        groups = [[math.isclose(a, b, rel_tol=relative or 0.0, abs_tol=absolute) for b in values] for a in values]
        usual = max(range(len(values)), key=lambda number: sum(groups[number]))
        for header, one, same in zip(headers, values, groups[usual], strict=True):
            if not same:
                msg = (
                    f"{header.path} has another {name} than {headers[usual].path}: {text.format(one)}, not "
                    f"{text.format(values[usual])}; replace it with the observation of the same cadence"
                )
                raise SetiError(msg)
