"""Releases put into the package, and their model card.

`python -m seti.release.card weights/released` does both. Without a folder, the card of the package's own releases is
written again, from their `card.json`.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from seti.errors import SetiError
from seti.models.release_files import CARD, PACKAGED, RECORD, read_release, read_weights, released_names
from seti.reports.figures import FAINT, line_style, save_figure, tidy

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- releases: written by seti/release/card.py -->", "<!-- end of releases -->"
LIMIT = 2_000_000  # bytes of all releases in the package
SETS = {
    "stream": "the stream, another seed",
    "radiometer": "`preset=radiometer`",
    "crowded": "`preset=crowded`",
    "setigen": "`preset=setigen`, a test",
}


def install(folder: Path, package: Path = PACKAGED) -> list[str]:
    """Copy releases into the package, after reading all of their weights.

    Each replaces one of its name.

    Args:
        folder: holds a folder for each release.
        package: holds those of the package.

    Returns:
        Their names.

    Raises:
        SetiError: the folder holds no release, one is damaged, or together they are too large for the package.
    """
    found = sorted(path.parent for path in folder.glob(f"*/{RECORD}"))
    if not found:
        msg = f"{folder} holds no release: give the folder that seti.release.train names at its end"
        raise SetiError(msg)
    for each in found:
        release = read_release(each)
        for fold in release.folds:
            read_weights(release, fold)
    kept = [
        path.parent for path in package.glob(f"*/{RECORD}") if path.parent.name not in {each.name for each in found}
    ]
    size = sum(path.stat().st_size for each in (*found, *kept) for path in each.iterdir())
    if size > LIMIT:
        msg = f"the releases have {size / 1e6:.1f} MB together, {LIMIT / 1e6:.0f} MB at most: train smaller networks"
        raise SetiError(msg)
    for each in found:
        shutil.rmtree(package / each.name, ignore_errors=True)
        shutil.copytree(each, package / each.name)
    return [each.name for each in found]


def write_card(page: Path = DOCS / "pretrained.md") -> None:
    """Write tables and figures of the package's releases into their part of the model card."""
    cards = {name: json.loads((PACKAGED / name / CARD).read_text()) for name in released_names()}
    for kind, figure in {"recall": draw_recall(cards), "calibration": draw_calibration(cards)}.items():
        save_figure(figure, page.with_name(f"pretrained_{kind}.png"), dpi=90)
    text = page.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables(cards)}\n{END}{after}")


def tables(cards: dict[str, Any]) -> str:
    """Tables of the model card, as Markdown.

    Args:
        cards: content of card.json, by the name of the release.
    """
    return "\n".join(part for name, card in cards.items() for part in _of_release(name, card))


def _of_release(name: str, card: dict[str, Any]) -> list[str]:
    trained = card["trained"]
    record = read_release(name).record
    folds = len(read_release(name).folds)
    sets = card["sets"]
    first = next(iter(sets.values()))
    return [
        f"## `{name}`\n",
        f"{folds} network{'s' * (folds > 1)} `{record['backbone']}`, trained on {trained['cadences']:,} cadences in "
        f"{trained['steps']:,} steps and {trained['minutes']:g} minutes on {trained['device']}, seed "
        f"{trained['settings']['seed']}:\n",
        f"```\n{trained['command']}\n```\n",
        "| set | cadences | AUC | of one network | recall at 1 % | at 0.1 % | calibration error |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_set_row(which, scored) for which, scored in sets.items()),
        "",
        f"Recall on the stream at 1 % false alarms, by {_spread(first, 'by_snr', 'SNR')}.\n",
        f"By {_spread(first, 'by_drift', 'drift in bins a panel')}.\n",
        f"By shape: {_named(first, 'by_shape')}.\n",
        f"Taken for needles there: {_named(first, 'alarms_by_kind')}.\n",
    ]


def _set_row(name: str, scored: dict[str, Any]) -> str:
    member = sum(scored["member_auc"]) / len(scored["member_auc"])
    return (
        f"| {SETS.get(name, name)} | {scored['cadences']:,} | {scored['auc']:.3f} | {member:.3f} | "
        f"{scored['at_0.01']['recall']:.2f} | {scored['at_0.001']['recall']:.2f} | {scored['calibration_error']:.3f} |"
    )


def _spread(scored: dict[str, Any], key: str, title: str) -> str:
    rows = scored["at_0.01"][key]
    return f"{title}: " + ", ".join(
        f"{recall:.2f} {f'from {low:g} to {high:g}' if high else f'above {low:g}'}" for low, high, _, recall in rows
    )


def _named(scored: dict[str, Any], key: str) -> str:
    rows = sorted(scored["at_0.01"][key], key=lambda row: -row[-1])
    return ", ".join(f"{name.replace('_', ' ')} {share:.3g}" for name, _, share in rows)


def draw_recall(cards: dict[str, Any]) -> Figure:
    """Draw recall at 1 % false alarms against SNR: an axes a release, a line a set."""
    figure, axes = _axes(cards)
    for axis, (name, card) in zip(axes, cards.items(), strict=True):
        for number, (which, scored) in enumerate(card["sets"].items()):
            rows = scored["at_0.01"]["by_snr"]
            middles = [(low * (high or 2 * low)) ** 0.5 for low, high, _, _ in rows]
            axis.plot(middles, [row[-1] for row in rows], marker="o", label=which, **line_style(number))
        axis.set_xscale("log")
        axis.set(ylim=(-0.03, 1.05), xlabel="SNR over one panel", title=name)
        axis.set_xticks([5, 10, 20, 50, 100, 200], ["5", "10", "20", "50", "100", "200"])
        axis.minorticks_off()
    axes[0].set_ylabel("recall at 1 % false alarms")
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def draw_calibration(cards: dict[str, Any]) -> Figure:
    """Draw the share of needles against the probability, in a survey with a tenth of needles."""
    figure, axes = _axes(cards)
    for axis, (name, card) in zip(axes, cards.items(), strict=True):
        axis.plot([0, 1], [0, 1], color=FAINT)
        for number, (which, scored) in enumerate(card["sets"].items()):
            rows = scored["reliability"]
            axis.plot([row[0] for row in rows], [row[1] for row in rows], marker="o", label=which, **line_style(number))
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="mean probability", title=name)
    axes[0].set_ylabel("share of needles")
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def _axes(cards: dict[str, Any]) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(4.6 * len(cards), 4.2), layout="constrained")
    axes = figure.subplots(1, len(cards), sharey=True, squeeze=False)[0].tolist()
    for axis in axes:
        tidy(axis)
    return figure, axes


if __name__ == "__main__":
    try:
        if len(sys.argv) > 1:
            print(f"installed {', '.join(install(Path(sys.argv[1])))} in {PACKAGED}")
        write_card()
        print(
            f"wrote {DOCS / 'pretrained.md'}: adapt what it says about the networks' weaknesses and about real "
            "snippets to the new numbers"
        )
    except SetiError as error:
        sys.exit(f"error: {error}")
