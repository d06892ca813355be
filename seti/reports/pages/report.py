"""Write the page of one experiment or of several, with the gallery's images next to it."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, ListConfig, OmegaConf

import seti
from seti.errors import SetiError
from seti.experiments.experiment import Experiment, open_experiment, unset_experiment
from seti.reports import labels
from seti.reports.pages import cadences, comparison, experiment_facts
from seti.reports.pages.experiment_facts import Facts
from seti.reports.pages.rendering import render
from seti.utils import console, files, hints

log = logging.getLogger(__name__)

PAGE = "report.html"
LARGEST = 9_000_000  # bytes of figures and thumbnails in a page; a page is to stay below 10 MB


def report(cfg: DictConfig) -> Path:
    """Write the page that the settings describe, and print its path.

    Args:
        cfg: settings of `report`.

    Returns:
        The page's path.

    Raises:
        SetiError: a setting is wrong, or an experiment is missing, not started or damaged.
    """
    if OmegaConf.is_missing(cfg, "ckpt_dir"):
        raise SetiError(unset_experiment())
    if cfg.cadences < 0:
        msg = f"cadences={cfg.cadences} must be at least 0; 0 leaves the gallery out"
        raise SetiError(msg)
    experiments = [open_experiment(Path(name)) for name in _names(cfg.ckpt_dir)]
    out = page_path(experiments) if cfg.out is None else Path(cfg.out)
    if out.suffix.lower() not in (".html", ".htm"):
        msg = f"out={out} is the page itself: give a file that ends in .html"
        raise SetiError(msg)
    files.try_output(out)
    root = None if cfg.data.root is None else Path(cfg.data.root)
    given = None if cfg.labels is None else Path(cfg.labels)
    return write(experiments, out, cfg.cadences, root, given)


def page_path(experiments: Sequence[Experiment]) -> Path:
    """The page in the experiment's folder, or in the folder that holds several."""
    if len(experiments) == 1:
        return experiments[0].path / PAGE
    return Path(os.path.commonpath([one.path.resolve().parent for one in experiments])) / PAGE


def write(
    experiments: Sequence[Experiment],
    out: Path,
    count: int,
    root: Path | None = None,
    labels_path: Path | None = None,
) -> Path:
    """Write a page, and print its path.

    Args:
        experiments: each with at least one finished fold; the gallery is the best one's.
        out: the page.
        count: cadences in the gallery at most.
        root: the data set; None: the experiment's.
        labels_path: `labels.csv` of an earlier page; None: none.

    Raises:
        SetiError: a table is damaged, or the labels are of another data set.
    """
    given = {} if labels_path is None else labels.read_labels(labels_path)
    facts = comparison.ranked([experiment_facts.collect(one) for one in experiments])
    for one in facts:
        _say_missing(one)
    figures = sum(len(figure.uri) for one in facts for figure in one.illustrations)
    inline = max(0, LARGEST - figures) * 3 // 4  # base64 writes three bytes as four characters
    shown = {} if count == 0 else _gallery(facts[0], out, count, root, given, labels_path, inline)
    several = len(facts) > 1
    words = [hints.setting("ckpt_dir", facts[0].experiment.path)]
    if several:
        words = [f"ckpt_dir=[{','.join(str(one.path) for one in experiments)}]"]
    html = render(
        {
            "facts": facts,
            "several": several,
            "differences": comparison.differing_settings(facts) if several else None,
            "common": comparison.illustrations(facts) if several else [],
            "gallery": shown,
            "labels": labels.LABELS,
            "command": hints.command("report", *words),
            "version": seti.__version__,
        }
    )
    with files.atomic_write(out) as temporary:
        temporary.write_text(html, encoding="utf-8")
    print(f"wrote {console.near(out)}: open it in a browser")
    return out


def _names(given: Any) -> list[str]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | ListConfig) or not names or not all(isinstance(name, str) for name in names):
        msg = f"ckpt_dir={given} is neither an experiment's folder nor a list: ckpt_dir=[outputs/<a>,outputs/<b>]"
        raise SetiError(msg)
    return list({Path(name).resolve(): name for name in names}.values())


def _say_missing(facts: Facts) -> None:
    if facts.missing:
        numbers = ", ".join(map(str, facts.missing))
        log.warning(
            "folds %s of %s are not finished: the report is of the others; train them with: %s",
            numbers,
            facts.name,
            facts.remaining,
        )


def _gallery(
    facts: Facts,
    out: Path,
    count: int,
    root: Path | None,
    given: dict[str, str],
    labels_path: Path | None,
    inline: int,
) -> dict[str, Any]:
    """Content of the gallery, for the page's script."""
    table = cadences.all_cadences(facts.experiment, facts.point)
    if labels_path is not None:
        labels.check_labels(labels_path, given, table["id"], facts.name)
    chosen = cadences.choose(table, count)
    labelled = table[table["id"].isin(given.keys()) & ~table["id"].isin(chosen["id"])]
    chosen = pd.concat([chosen, labelled], ignore_index=True)
    root = Path(facts.experiment.first_result.data.root) if root is None else root
    folder = out.with_name(f"{out.stem}_files")
    drawn = cadences.draw(chosen, root, folder, inline)
    rows = [
        {
            "id": row.id,
            "split": row.split,
            "fold": None if pd.isna(row.fold) else int(row.fold),
            "target": None if pd.isna(row.target) else int(row.target),
            "score": round(float(row.score), 6),
            "kind": row.kind,
            "small": drawn.small.get(row.id),
            "large": drawn.large.get(row.id),
        }
        for row in chosen.itertuples()
    ]
    return {
        "identity": facts.identity,
        "name": facts.name,
        "all": len(table),
        "remark": drawn.remark,
        "labels": given,
        "rows": rows,
    }
