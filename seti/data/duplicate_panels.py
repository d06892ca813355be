"""Panels that occur twice in a data set, byte for byte."""

from collections.abc import Iterator

import numpy as np

from seti.data.cadence import read_cadence
from seti.data.file_scan import Scan
from seti.data.findings import WARNING, Finding, name_panels


def find_duplicates(places: list[tuple[str, str, str]], scan: Scan, fit: np.ndarray) -> Iterator[Finding]:
    """Panels that are the same, byte for byte: equal checksums, then compared."""
    rows, panels = np.nonzero(fit[:, None] & ~scan.dead)
    sums = scan.checksums[rows, panels]
    order = np.argsort(sums, kind="stable")  # within equal ones by cadence
    equal = np.flatnonzero(sums[order][1:] == sums[order][:-1]) + 1
    first = order.copy()
    for place in equal:
        first[place] = first[place - 1]
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for place in equal:
        one, two = first[place], order[place]
        pairs.setdefault((int(rows[one]), int(rows[two])), []).append((int(panels[one]), int(panels[two])))
    for (one, two), same in sorted(pairs.items()):
        cadences = [read_cadence(places[row][2]) for row in (one, two)]
        same = [(a, b) for a, b in same if cadences[0][a].tobytes() == cadences[1][b].tobytes()]
        if not same:
            continue
        cadence_id, split, path = places[two]
        other = f"{places[one][0]} ({places[one][1]})"
        if one == two:
            detail = "; ".join(f"panels {a} and {b}" for a, b in same)
            yield Finding(cadence_id, split, WARNING, "the same panel twice", detail, path)
        elif cadences[0].tobytes() == cadences[1].tobytes():
            yield Finding(cadence_id, split, WARNING, "the same cadence", f"as {other}", path)
        else:
            detail = f"{name_panels(np.array([b for _, b in same]))} as in {other}"
            yield Finding(cadence_id, split, WARNING, "the same panel in another cadence", detail, path)
