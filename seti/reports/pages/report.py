"""Write the page of one experiment, of several, of a stack, or of a search for settings."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

from seti.errors import SetiError
from seti.experiments.experiment import Experiment, open_experiment, unset_experiment
from seti.reports import labels
from seti.reports.pages import cadences, comparison, experiment_facts, ranking, scan, stack_facts, study_facts
from seti.reports.pages.experiment_facts import Facts
from seti.reports.pages.image_files import Illustration, ImageFiles
from seti.reports.pages.rendering import write_page
from seti.reports.pages.stack_facts import StackFacts
from seti.reports.pages.study_facts import StudyFacts
from seti.utils import files, hints

log = logging.getLogger(__name__)

PAGE = "report.html"
SECTIONS = 60  # experiments with figures and tables of their own, the best ones; all have a row in the comparison
CADENCES = 500  # in the gallery of a page that another command writes; the default of conf/report.yaml


class _Gallery(NamedTuple):
    """Settings of the cadences on a page; `given` are the labels of `labels_path`."""

    count: int
    root: Path | None
    labels_path: Path | None
    given: dict[str, str]


def report(cfg: DictConfig) -> Path:
    """Write the page that the settings describe, and print its path.

    Args:
        cfg: settings of `report`.

    Returns:
        The page's path.

    Raises:
        SetiError: a setting is wrong, or an experiment or a scan is missing, not started or damaged.
    """
    unset = OmegaConf.is_missing(cfg, "ckpt_dir")
    if unset and cfg.scan is None:
        msg = f"{unset_experiment()}; or of a scan, scan=scans/<name>"
        raise SetiError(msg)
    if not unset and cfg.scan is not None:
        msg = f"ckpt_dir={cfg.ckpt_dir} and scan={cfg.scan} are two pages: give one of them"
        raise SetiError(msg)
    if cfg.cadences < 0:
        msg = f"cadences={cfg.cadences} must be at least 0; 0 leaves the gallery out"
        raise SetiError(msg)
    given = None if cfg.labels is None else Path(cfg.labels)
    if cfg.scan is not None:
        if cfg.data.root is not None:
            msg = (
                f"data.root={cfg.data.root} is for the cadences of an experiment: a scan's folder holds its own images"
            )
            raise SetiError(msg)
        scans = scan.open_scans(scan.folder_names("scan", cfg.scan, "scans/"))
        out = _out(cfg, [one.path for one in scans])
        return scan.write(scans, out, cfg.cadences, given)
    paths = [Path(name) for name in scan.folder_names("ckpt_dir", cfg.ckpt_dir, "outputs/")]
    root = None if cfg.data.root is None else Path(cfg.data.root)
    stacks = [path for path in paths if stack_facts.is_stack(path)]
    if stacks and len(paths) > 1:
        msg = f"ckpt_dir={cfg.ckpt_dir}: the page of a stack has its experiments side by side; give {stacks[0]} alone"
        raise SetiError(msg)
    studies = [path for path in paths if study_facts.is_study(path)]
    if studies and len(paths) > 1:
        msg = f"ckpt_dir={cfg.ckpt_dir}: the page of a search has its trials side by side; give {studies[0]} alone"
        raise SetiError(msg)
    for path in paths:
        if scan.is_scan(path):
            msg = f"ckpt_dir={path} is the folder of a scan: {hints.command('report', hints.setting('scan', path))}"
            raise SetiError(msg)
    if stacks:
        return write_stack(stacks[0], _out(cfg, stacks), cfg.cadences, root, given)
    if studies:
        return write_study(studies[0], _out(cfg, studies), cfg.cadences, root, given)
    experiments = [open_experiment(path) for path in paths]
    return write(experiments, _out(cfg, paths), cfg.cadences, root, given)


def page_path(folders: Sequence[Path]) -> Path:
    """The page in the folder that it is about, or in the folder that holds several."""
    if len(folders) == 1:
        return folders[0] / PAGE
    return Path(os.path.commonpath([one.resolve().parent for one in folders])) / PAGE


def write(
    experiments: Sequence[Experiment],
    out: Path,
    count: int = CADENCES,
    root: Path | None = None,
    labels_path: Path | None = None,
) -> Path:
    """Write the page of experiments, and print its path.

    Args:
        experiments: each with at least one finished fold; the gallery is the best one's.
        out: the page.
        count: cadences in the gallery at most.
        root: the data set; None: the experiment's.
        labels_path: `labels.csv` of an earlier page; None: none.

    Raises:
        SetiError: a table is damaged, or the labels are of another data set.
    """
    gallery = _gallery(count, root, labels_path)
    facts = _collect(experiments)
    words = [hints.setting("ckpt_dir", experiments[0].path)]
    if len(facts) > 1:
        words = [f"ckpt_dir=[{','.join(str(one.path) for one in experiments)}]"]
    title = facts[0].name if len(facts) == 1 else f"{len(facts)} experiments"
    study = study_facts.study_of(facts[0].experiment) if len(facts) == 1 else None
    return _write_compared(out, facts, title, words, gallery, study)


def write_study(
    folder: Path, out: Path, count: int = CADENCES, root: Path | None = None, labels_path: Path | None = None
) -> Path:
    """Write the page of a search for settings and its trials side by side, and print its path.

    Args:
        folder: of the study.
        out, count, root, labels_path: as for `write`; the gallery is the best trial's.

    Raises:
        SetiError: a table is damaged, no trial has a finished fold, or the labels are of another data set.
    """
    gallery = _gallery(count, root, labels_path)
    facts = comparison.ranked([experiment_facts.collect(one) for one in study_facts.trials(folder)])
    words = [hints.setting("ckpt_dir", folder)]
    title = f"Search {folder.resolve().name}"
    study = study_facts.collect(folder)
    return _write_compared(out, facts, title, words, gallery, study)


def write_stack(
    folder: Path, out: Path, count: int = CADENCES, root: Path | None = None, labels_path: Path | None = None
) -> Path:
    """Write the page of a stack and its experiments, and print its path.

    Args:
        folder: of the stack.
        out, count, root, labels_path: as for `write`; the gallery is the stack's.

    Raises:
        SetiError: a table is damaged, or the labels are of another data set.
    """
    gallery = _gallery(count, root, labels_path)
    stack = stack_facts.collect(folder)
    if stack.gone:
        log.warning("%s blends %s, which %s no longer has", folder, ", ".join(stack.gone), folder.parent)
    facts = _collect(stack.experiments)
    ranked = None
    if count:
        earlier = ranking.rank_experiment(facts[0].experiment)
        ranked = ranking.rank("stack", facts[0].experiment, stack.oof, stack.test, earlier.roots["test"])
    words = [hints.setting("ckpt_dir", folder)]
    title = f"Stack of {len(facts)} experiment{'s' * (len(facts) > 1)}"
    return _write(out, facts, title, words, gallery, ranked, stack=stack)


def _gallery(count: int, root: Path | None, labels_path: Path | None) -> _Gallery:
    return _Gallery(count, root, labels_path, {} if labels_path is None else labels.read_labels(labels_path))


def _write_compared(
    out: Path,
    facts: Sequence[Facts],
    title: str,
    words: Sequence[str],
    gallery: _Gallery,
    study: StudyFacts | None,
) -> Path:
    """Write the page of experiments side by side; the gallery is the first one's."""
    common = comparison.illustrations(facts) if len(facts) > 1 else []
    ranked = ranking.rank_experiment(facts[0].experiment) if gallery.count else None
    return _write(out, facts, title, words, gallery, ranked, common=common, study=study)


def _write(
    out: Path,
    facts: Sequence[Facts],
    title: str,
    words: Sequence[str],
    gallery: _Gallery,
    ranked: ranking.Ranking | None,
    *,
    common: Sequence[Illustration] = (),
    stack: StackFacts | None = None,
    study: StudyFacts | None = None,
) -> Path:
    drawn = ImageFiles(out)
    if study is not None:
        study = study._replace(illustrations=drawn.place(study.illustrations))
    common = drawn.place(common)
    stacked = [] if stack is None else drawn.place(stack.illustrations)
    sections = [(one, drawn.place(experiment_facts.draw(one))) for one in facts[:SECTIONS]]
    remarks = []
    if len(facts) > SECTIONS:
        more = len(facts) - SECTIONS
        have = "experiment has" if more == 1 else "experiments have"
        remarks.append(f"{more} more {have} a row in the comparison and no section of their own")
    if drawn.outside:
        remarks.append(f"{drawn.outside} figures are in {drawn.folder.name}, which belongs to this page")
    shown = {}
    if ranked is not None:
        if gallery.root is not None:
            ranked = ranked.of(gallery.root)
        shown = cadences.gallery_of(ranked, drawn, gallery.count, gallery.given, gallery.labels_path)
    several = len(facts) > 1
    content = {
        "title": title,
        "titled": several or stack is not None or (study is not None and not study.own),
        "study": study,
        "facts": facts,
        "sections": sections,
        "remarks": remarks,
        "several": several,
        "differences": comparison.differing_settings(facts) if several else None,
        "common": common,
        "correlation": comparison.correlation(facts) if several and stack is None else None,
        "stack": stack,
        "stacked": stacked,
        "gallery": shown,
        "command": hints.command("report", *words),
    }
    write_page(out, "report.html.j2", content)
    drawn.remove_others()
    return out


def _collect(experiments: Sequence[Experiment]) -> list[Facts]:
    facts = comparison.ranked([experiment_facts.collect(one) for one in experiments])
    for one in facts:
        if one.missing:
            numbers = ", ".join(map(str, one.missing))
            log.warning(
                "folds %s of %s are not finished: the report is of the others; train them with: %s",
                numbers,
                one.name,
                one.remaining,
            )
    return facts


def _out(cfg: DictConfig, folders: Sequence[Path]) -> Path:
    """The page, which can be written."""
    out = page_path(folders) if cfg.out is None else Path(cfg.out)
    if out.suffix.lower() not in (".html", ".htm"):
        msg = f"out={out} is the page itself: give a file that ends in .html"
        raise SetiError(msg)
    files.try_output(out)
    return out
