"""Waterfalls of labelled events: `seti show labels=labels.csv scan=scans/<name>`."""

import re

import pytest
from conftest import compose
from PIL import Image, ImageChops
from scan_folders import write_scan

from seti.errors import SetiError
from seti.reports import labelled_events
from seti.reports.gallery import show
from seti.reports.labelled_events import show_events
from seti.reports.pages.events import read_events


@pytest.fixture
def scan(tmp_path):
    write_scan(tmp_path / "scans" / "one", source="A/B 1")
    return tmp_path / "scans" / "one"


@pytest.fixture
def ids(scan):
    return read_events(scan / "events.csv").set_index("event")["id"]


def labelled(path, *rows):
    """Write labels as the page of a scan exports them."""
    path.write_text("id,label,event,freq_mhz\n" + "".join(f"{one},{label},1,8437.0\n" for one, label in rows))
    return path


def test_labelled_events_are_copied_from_figures_or_drawn_from_cut_outs(scan, ids, tmp_path, monkeypatch):
    drawn = []
    whole = labelled_events.event_figures.draw_event
    monkeypatch.setattr(
        labelled_events.event_figures,
        "draw_event",
        lambda panels, **given: drawn.append((panels, given)) or whole(panels, **given),
    )
    labels = labelled(tmp_path / "labels.csv", (ids[2], "interesting"), (ids[3], "artefact"))
    out = tmp_path / "figures"
    paths = show_events(compose("show", [f"labels={labels}", f"scan={scan.parent}", f"out={out}"]))
    assert paths == [out / f"A_B_1_59000.2500_{frequency}.png" for frequency in ("8437.2000000", "8437.5000000")]
    ((panels, given),) = drawn
    assert given["title"].startswith(
        "event 2: A/B 1, 8437.200000 MHz, -2.000 Hz/s, SNR 50.0, score 0.800   interesting"
    )
    assert given["snrs"] == [28.0, -0.2] * 3
    assert given["on"] == [True, False] * 3
    # The signal's frequency lies within what is drawn.
    span = panels[0].shape[1] * given["resolution_hz"] / 1e6
    assert given["low_mhz"] < given["freq_mhz"] < given["low_mhz"] + span
    own = Image.open(scan / "figures" / "event_000003.png").convert("RGB")
    assert ImageChops.difference(own, Image.open(paths[1])).getbbox() is not None  # the label
    assert Image.open(paths[1]).size == own.size
    assert Image.open(paths[0]).width > 1000


@pytest.mark.parametrize(
    ("rows", "words", "message"),
    [
        ([], ["scan={scan}"], "{labels} labels no event: label some on the page of seti report, and export them again"),
        (
            [("elsewhere", "artefact")],
            ["scan={scan}"],
            "{labels} labels 1 of 1 events that {scan} does not have, first elsewhere: give the labels of the same "
            "observations",
        ),
        (
            [("{bare}", "artefact")],
            ["scan={scan}"],
            "1 of 1 labelled events have no cut-out in {scan}, first {bare}: "
            "seti scan cadence=observations scan.snr=8.0 out={scan} cutouts=null",
        ),
        (
            [],
            ["scan={scan}", "ids=[a]"],
            "scan={scan} draws the events that labels=labels.csv names, and takes none of ids, ckpt_dir and "
            "data.root; the waterfalls of all events are in the scan's own folder, figures/",
        ),
        ([], ["scan=[]"], "scan=[] is neither a scan's folder nor a list: scan=[scans/<a>,scans/<b>]"),
    ],
)
def test_events_that_cannot_be_drawn_are_refused(scan, ids, tmp_path, rows, words, message):
    names = {"scan": scan, "bare": ids[4], "labels": tmp_path / "labels.csv"}
    rows = [(one.format(**names), label) for one, label in rows] or (
        [(ids[1], "artefact")] if "scan=[]" in words else []
    )
    labels = labelled(tmp_path / "labels.csv", *rows)
    given = [f"labels={labels}", *(word.format(**names) for word in words)]
    with pytest.raises(SetiError, match=f"^{re.escape(message.format(**names))}"):
        show_events(compose("show", given))


def test_labels_of_events_without_their_scan_name_what_is_missing(ids, tmp_path):
    labels = labelled(tmp_path / "labels.csv", (ids[1], "artefact"))
    message = f"{labels} labels events: name the folder of their scan, scan=scans/<name>"
    with pytest.raises(SetiError, match=f"^{re.escape(message)}$"):
        show([], tmp_path, tmp_path, labels_path=labels)
