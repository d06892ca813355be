"""Waterfalls of one event: six panels, with the drift line and the SNR of each."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seti.reports.waterfalls import OFF_COLOUR, ON_COLOUR, PANEL_COLOURS

COLUMNS = 600  # of an image at most: about the pixels that a panel has in the figure
LINE = "#FFFFFF"
PERCENTILES = (2.0, 99.7)  # of a panel's values, drawn in the darkest and the brightest colour
TRACK_POINTS = 9  # of the line along the track in a panel; it may be curved
LEAST_SHOWN_HZ = 400.0  # width of a figure in addition to the drift
GAP = 0.02  # share of the figure's width between the signal and the line on each of its sides


def draw_event(
    panels: Sequence[np.ndarray],
    *,
    low_mhz: float,
    resolution_hz: float,
    row_s: float,
    panel_start_s: Sequence[float],
    on: Sequence[bool],
    targets: Sequence[str],
    freq_mhz: float,
    track_hz: Callable[[np.ndarray], np.ndarray],
    smeared: int,
    snrs: Sequence[float],
    title: str,
) -> Figure:
    """Draw the data around an event.

    Args:
        panels: six of `(rows, bins)`, ascending in frequency.
        low_mhz: middle of the lowest bin.
        resolution_hz: width of a bin.
        row_s: duration of a row.
        panel_start_s: seconds from the first row of the first panel to the first row of each.
        on: of each panel, whether it is of the target.
        targets: name of the source of each panel.
        freq_mhz: of the event at the cadence's first row.
        track_hz: from seconds since the middle of the cadence's first row to the event's frequency relative to
            `freq_mhz`, in Hz.
        smeared: bins over which its drift spreads it in a row.
        snrs: along the track in each panel.
        title: above the panels.

    Returns:
        A figure with an axes a panel. Frequencies are relative to the event's; wide cut-outs show the brightest of
        neighbouring bins, so that a signal of one bin is not lost.
    """
    width, height = 9.0, 1.25 + 1.35 * len(panels)
    figure = Figure(figsize=(width, height))
    # In inches: matplotlib's own layout takes as long as the drawing.
    margins = {"left": 0.65 / width, "right": 1 - 1.15 / width, "bottom": 0.6 / height, "top": 1 - 0.4 / height}
    axes = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True, gridspec_kw={**margins, "hspace": 0.14}))
    # Relative to the event, in the unit that keeps the numbers short.
    bins = panels[0].shape[1]
    left = (low_mhz - freq_mhz) * 1e6 - resolution_hz / 2
    right = left + bins * resolution_hz
    unit, scale = ("kHz", 1e3) if max(abs(left), abs(right)) >= 5e3 else ("Hz", 1.0)
    for number, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
        rows = len(panel)
        start, end = panel_start_s[number], panel_start_s[number] + rows * row_s
        image = thinned(panel, smeared)
        low, high = np.percentile(image, PERCENTILES)
        axis.imshow(
            image,
            aspect="auto",
            cmap=PANEL_COLOURS,
            interpolation="nearest",
            vmin=low,
            vmax=high if high > low else low + 1,
            extent=(left / scale, right / scale, end / 60, start / 60),
        )
        # Frequencies count from the middle of the first row. Two lines, on both sides, leave the signal itself visible.
        times = np.linspace(start, end, TRACK_POINTS)
        track = track_hz(times - row_s / 2)
        for side in (-1, 1):
            line = (track + side * GAP * (right - left)) / scale
            axis.plot(line, times / 60, color=LINE, linestyle=(0, (4, 4)), linewidth=1.1, alpha=0.85)
        axis.set_xlim(left / scale, right / scale)
        axis.set_ylim(end / 60, start / 60)
        axis.yaxis.set_major_locator(MaxNLocator(3))
        axis.tick_params(labelsize=8, colors="#444444")
        colour = ON_COLOUR if on[number] else OFF_COLOUR
        for spine in axis.spines.values():
            spine.set(color=colour, linewidth=2.0 if on[number] else 0.8)
        style = {"transform": axis.transAxes, "ha": "left", "color": colour, "parse_math": False}
        axis.text(1.012, 0.75, "ON" if on[number] else "OFF", fontsize=12, weight="bold", va="center", **style)
        axis.text(1.012, 0.48, _short(targets[number]), fontsize=8, va="center", **style)
        axis.text(1.012, 0.22, f"SNR {snrs[number]:.1f}", fontsize=10, va="center", **style)
    axes[-1].xaxis.set_major_locator(MaxNLocator(8))
    axes[-1].set_xlabel(f"frequency - {freq_mhz:.6f} MHz ({unit})")
    figure.text(0.15 / width, 0.5, "time since the first row (min)", rotation=90, va="center", fontsize=10)
    figure.suptitle(title, fontsize=12, y=1 - 0.12 / height, va="top", parse_math=False)
    return figure


def shown_columns(low_mhz: float, resolution_hz: float, f_start_mhz: float, f_end_mhz: float) -> slice:
    """Columns of a cut-out that a figure shows: the track with half as much again on both sides.

    Args:
        low_mhz: middle of the lowest bin of the cut-out.
        resolution_hz: width of a bin.
        f_start_mhz, f_end_mhz: lowest and highest frequency of the track.
    """
    pad = max(LEAST_SHOWN_HZ / 2 / 1e6, (f_end_mhz - f_start_mhz) / 2)
    ends = [f_start_mhz - pad - low_mhz, f_end_mhz + pad - low_mhz]
    first, last = (round(end * 1e6 / resolution_hz) for end in ends)
    return slice(max(0, first), last + 1)


def smeared_bins(drift_hz_s: float, row_s: float, resolution_hz: float) -> int:
    """Bins over which a drifting signal is spread in a row."""
    return round(abs(drift_hz_s) * row_s / resolution_hz)


def thinned(panel: np.ndarray, smeared: int, columns: int = COLUMNS) -> np.ndarray:
    """Reduce a panel to at most `columns` columns.

    Args:
        panel: `(rows, bins)`.
        smeared: bins over which a row of the signal is spread: their mean loses nothing of it. Where more bins are to
            be joined, the largest of these means is kept.
        columns: of the result at most.
    """
    panel = np.asarray(panel, np.float32)
    factor = -(-panel.shape[1] // columns)
    means = min(factor, max(1, smeared))
    for join, bins in ((np.mean, means), (np.max, -(-factor // means))):
        whole = panel.shape[1] // bins * bins  # what is left over is less than a column
        panel = join(panel[:, :whole].reshape(len(panel), -1, bins), axis=2)
    return panel


def _short(name: str, length: int = 14) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
