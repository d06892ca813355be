"""Report of a search for twins: counts, shares across folds, and a figure of some pairs."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from seti.backgrounds.cadences import open_data_set
from seti.backgrounds.clean_set import Cleaned
from seti.backgrounds.conclusions import Found
from seti.backgrounds.shares import Shares, advice, count_shares
from seti.backgrounds.table import TABLE
from seti.data import competition
from seti.data.cadence import ON_PANELS, PANEL_LETTERS
from seti.data.cleaned_set import COVERAGE
from seti.data.listing import is_loose
from seti.errors import SetiError
from seti.reports.figures import save_figure
from seti.reports.waterfalls import OFF_COLOUR, ON_COLOUR, PANEL_COLOURS, panel_limits
from seti.utils import hints
from seti.utils.console import console, near, print_next

PAIRS = 4  # pairs in the figure
SHOWN = (0, 1)  # panels of each pair in the figure: an ON and an OFF one
CLIP = 4.0  # units of the thermal noise at which the colours of a difference end
LEAST = 1e-4  # of the thermal noise; the least residual that is written
FIGURE = "twins.png"
WORDS = {  # of counts, in the order of the report
    "refused_other_noise": "links refused: the noise differs in a panel",
    "refused_constant_panel": "links refused: a panel is constant",
    "refused_contradiction": "links refused: the shift contradicts the group's",
    "repeated_keys": "keys left out: twice in a cadence",
    "periodic": "cadences left out: periodic panels",
    "constant": "cadences left out: constant panels",
    "another_size": "cadences left out: panels of another size",
    "unreadable": "cadences left out: cannot be read",
    "identical": "cadences that are copies of others",
}


def report(found: Found, n_folds: int, seed: int, pack_dir: Path | None = None) -> None:
    """Print what was found and draw `twins.png`.

    Args:
        found: of `seti.backgrounds.search.find_twins`.
        n_folds: number of random folds that are counted.
        seed: of their drawing.
        pack_dir: folder of the packs; None: `<root>/packed`.
    """
    _print_counts(found)
    shares = count_shares(found.twins, _labels(found.root), n_folds, seed)
    _print_shares(shares)
    for remark in found.remarks:
        print(remark)
    if is_loose(found.root):
        print("These cadences have no labels: there are no folds that could divide a group.")
    else:
        print(advice(shares, len(found.links) > 0))
    written = [near(found.root / TABLE)]
    if len(found.links):
        figure = draw_pairs(found, pack_dir)
        if figure is not None:
            written.append(near(save_figure(figure, found.root / FIGURE)))
    print("written: " + ", ".join(map(str, written)))


def draw_pairs(found: Found, pack_dir: Path | None = None) -> Figure | None:
    """Draw some pairs, shifted onto each other, and their difference in thermal noise.

    Returns:
        The figure; None where no pair can be read again.
    """
    chosen = _choose(found)
    data = open_data_set(found.root, pack_dir)
    cadences = data.open(tuple(range(len(PANEL_LETTERS))))
    drawn = []
    for link in chosen:
        try:
            drawn.append((link, *(cadences.read(int(n[link])) for n in (found.links.one, found.links.two))))
        except SetiError:
            continue
    if not drawn:
        return None
    figure = Figure(figsize=(12, 0.6 + 2.9 * len(drawn)), layout="constrained")
    grid = figure.subplots(len(drawn) * len(SHOWN), 3, squeeze=False)
    for number, (link, one, two) in enumerate(drawn):
        for row, panel in enumerate(SHOWN):
            _draw_panel(grid[number * len(SHOWN) + row], found, link, panel, (one[panel], two[panel]))
    figure.suptitle("Cadences that share a background, and their difference", fontsize=13)
    return figure


def _choose(found: Found) -> list[int]:
    """Links of different groups, with overlaps from wide to narrow."""
    groups = found.twins["group"].to_numpy(dtype=float, na_value=-1)[found.links.one]
    wide = np.argsort(np.abs(found.links.shift), kind="stable")
    _, first = np.unique(groups[wide], return_index=True)
    several = wide[np.sort(first)]
    places = np.linspace(0, 0.9 * len(several), PAIRS, endpoint=False).astype(int)  # the narrowest show little
    return several[np.unique(places)].tolist()


def _draw_panel(axes: np.ndarray, found: Found, link: int, panel: int, pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Draw one panel of both cadences on the bins of the field, and their difference."""
    links, twins = found.links, found.twins
    one, two = (values.astype(np.float32) for values in pair)
    rows, bins = one.shape
    shift, gain, offset = int(links.shift[link]), links.gain[link, panel], links.offset[link, panel]
    left = min(0, shift)
    width = bins + abs(shift)
    letter = PANEL_LETTERS[panel]
    wide = np.full((3, rows, width), np.nan, np.float32)
    wide[0, :, -left : -left + bins] = one
    wide[1, :, shift - left : shift - left + bins] = gain * two + offset
    noise = _thermal(one)
    wide[2] = (wide[0] - wide[1]) / noise
    low, high = panel_limits(one)
    for axis, values, number in zip(axes, wide, (links.one[link], links.two[link], None), strict=True):
        limits = (-CLIP, CLIP) if number is None else (low, high)
        colours = "RdBu_r" if number is None else PANEL_COLOURS
        extent = (left - 0.5, left + width - 0.5, rows - 0.5, -0.5)
        axis.imshow(values, aspect="auto", cmap=colours, vmin=limits[0], vmax=limits[1], extent=extent)
        if number is None:
            title = f"difference, {max(links.residual[link, panel], LEAST):.1g} of the thermal noise"
        else:
            title = f"{twins['id'][number]} ({twins['split'][number]})"
        _label(axis, title, letter, panel)


def _label(axis: Axes, title: str, letter: str, panel: int) -> None:
    axis.set_title(title, fontsize=8, parse_math=False)
    axis.tick_params(labelsize=7, colors="#444444")
    axis.set_facecolor("#F2F3F4")
    colour = ON_COLOUR if panel in ON_PANELS else OFF_COLOUR
    axis.set_ylabel(f"{letter} ({panel})", color=colour, fontsize=8)


def _thermal(panel: np.ndarray) -> float:
    """Thermal noise of a panel, by differences between neighbouring bins and rows."""
    double = np.abs(np.diff(np.diff(panel, axis=0), axis=1))
    return float(1.4826 / 2 * np.median(double)) or 1.0


def report_cleaned(cleaned: Cleaned, raw: Path) -> None:
    """Print what a cleaned data set holds, and the command that trains on it.

    Args:
        cleaned: the data set.
        raw: folder of the one that it was made from, which serves as well where nothing repeats.
    """
    print(cleaned.describe())
    print(f"written: {near(cleaned.folder)}, with {COVERAGE}")
    recipe, root = "best_clean_cpu", cleaned.folder
    if not (cleaned.coverage["covered"] > 0).any():
        print(f"no background repeats: every cadence is as it was, and {cleaned.folder} is of no more use than {raw}")
        recipe, root = "best_cpu", raw
    if is_loose(raw):
        return  # nothing can be trained without labels
    print_next(hints.command("train", "-m", "fold=all", f"experiment={recipe}", hints.setting("data.root", root)))


def _print_counts(found: Found) -> None:
    counts = found.counts
    shown = Table("found", "number", title="twins")
    share = counts["twins"] / counts["cadences"]
    shown.add_row("cadences", f"{counts['cadences']:,}")
    shown.add_row("cadences that share their background", f"{counts['twins']:,} ({share:.0%})")
    shown.add_row("groups", f"{counts['groups']:,}")
    if counts["groups"]:
        sizes = found.twins.dropna(subset="group").groupby("group").size()
        shown.add_row("cadences in a group, median and most", f"{sizes.median():.0f}, {sizes.max()}")
        covered = found.twins["covered"][found.twins["members"] > 1]
        shown.add_row("bins that a twin covers, mean over these cadences", f"{covered.mean():.0%}")
    shown.add_row("links, verified on all panels", f"{counts['links']:,}")
    for name, words in WORDS.items():
        if counts.get(name):
            shown.add_row(words, f"{counts[name]:,}")
    console().print(shown)


def _print_shares(shares: Shares) -> None:
    if shares.test is not None:
        print(f"{shares.test:.1%} of the test cadences have a twin in train, {shares.train:.1%} of train one in test")
    if shares.folds:
        each = ", ".join(f"{share:.1%}" for share in shares.folds)
        print(f"with a twin in the training folds, of each held-out fold: {each} (random folds), 0.0% (grouped folds)")


def _labels(root: Path) -> pd.DataFrame | None:
    try:
        return competition.read_labels(root)
    except SetiError:
        return None
