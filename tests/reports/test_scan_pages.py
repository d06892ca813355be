"""Pages about scans: their events, and what they refuse."""

import io
import json
import re
from base64 import b64decode

import pandas as pd
import pytest
from PIL import Image
from scan_folders import write_scan
from test_pages import EVIL, write

from seti.errors import SetiError
from seti.reports.pages import image_files, images


@pytest.fixture
def scan(tmp_path, no_figures):
    write_scan(tmp_path / "scans" / "one")
    return tmp_path / "scans" / "one"


def test_the_page_holds_every_event_with_its_facts_and_waterfalls(scan, capsys, caplog):
    page = write(f"scan={scan}")
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {scan / 'report.html'}: open it in a browser"
    rows = page.data["data"]["rows"]
    events = pd.read_csv(scan / "events.csv")
    assert [row["event"] for row in rows] == [1, 2, 3, 4]  # the excluded one last, in spite of its score
    for row, own in zip(rows, events.to_dict("records"), strict=True):
        assert {key: row[key] for key in ("freq_mhz", "drift_hz_s", "snr", "score", "ra_deg", "dec_deg")} == {
            key: pytest.approx(own[key]) for key in ("freq_mhz", "drift_hz_s", "snr", "score", "ra_deg", "dec_deg")
        }
        assert row["id"] == f"HIP1_59000.2500_{own['freq_mhz']:.7f}"
    assert rows[1]["facts"] == [
        "event 2, 8437.200000 MHz",
        "-2.000 Hz/s, width 5 Hz",
        "SNR 50.0, score 0.800",
        "ON 28.0 28.0 28.0",
        "OFF -0.2 -0.2 -0.2",
        "ra 302.916° dec -4.500°",
    ]
    assert rows[2]["off"] == 3.5
    # A figure lies with the page; a cut-out is drawn; without both there is no image, and a word about it.
    assert [row["large"] for row in rows] == [
        "figures/event_000001.png",
        "report_files/full/0_event_000002.jpg",
        "figures/event_000003.png",
        None,
    ]
    for row in rows[:3]:
        image = Image.open(io.BytesIO(b64decode(row["small"].partition(",")[2])))
        assert image.width == 155
        assert abs(image.height - 219) <= 3
    word = "1 of 4 events have no waterfall: seti scan figures=null draws those of all"
    assert caplog.messages == [word]
    assert page.data["data"]["remark"] == word
    assert ["1", "ON", "HIP1", "panel_0.h5"] in page.rows
    assert ["scan.snr", "7.0", "8.0"] in page.rows


def test_the_thumbnail_is_of_the_data_around_the_track(scan, monkeypatch):
    seen = []
    monkeypatch.setattr(images, "draw_cadence", lambda panels, size, **_: seen.append(panels) or b"jpeg")
    write(f"scan={scan}", "cadences=1")
    (panels,) = seen
    # 200 Hz on both sides of a track of 20 Hz, in bins of 2.79 Hz, and what rounding adds at both ends.
    assert [panel.shape for panel in panels] == [(16, 152)] * 6


def test_a_page_elsewhere_takes_its_figures_along(scan, tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "INLINE", 0)
    rows = write(f"scan={scan}", f"out={tmp_path / 'away' / 'page.html'}", "cadences=1").data["data"]["rows"]
    assert rows[0]["large"] == "page_files/full/0_event_000001.png"
    assert (tmp_path / "away" / rows[0]["large"]).read_bytes() == (scan / "figures/event_000001.png").read_bytes()
    assert (tmp_path / "away" / rows[0]["small"]).is_file()


def test_several_scans_are_one_page_most_likely_events_first(scan):
    write_scan(scan.parent / "two", "HIP9", 1400.0)
    for given in (f"scan={scan.parent}", f"scan=[{scan},{scan.parent / 'two'}]"):
        page = write(given, "cadences=4")
        rows = page.data["data"]["rows"]
        assert [(row["source"], row["event"]) for row in rows] == [("HIP1", 1), ("HIP9", 1), ("HIP1", 2), ("HIP9", 2)]
    assert (scan.parent / "report.html").is_file()
    assert len({row["large"] for row in rows}) == 4


def test_labels_of_events_are_read_back_and_foreign_ones_refused(scan, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("id,label,event\nHIP1_59000.2500_8437.4000000,follow up,4\n")
    data = write(f"scan={scan}", f"labels={path}", "cadences=1").data["data"]
    assert data["labels"] == {"HIP1_59000.2500_8437.4000000": "follow up"}
    assert [row["event"] for row in data["rows"]] == [1, 4]
    path.write_text("id,label\nHIP5_59000.2500_8437.4000000,follow up\n")
    message = (
        f"{path} labels 1 of 1 events that {scan} does not have, first HIP5_59000.2500_8437.4000000: "
        "give the labels of the same observations"
    )
    with pytest.raises(SetiError, match=f"^{re.escape(message)}$"):
        write(f"scan={scan}", f"labels={path}")


def test_names_that_hold_html_are_shown_as_text(tmp_path, no_figures):
    events = write_scan(tmp_path / "scan", EVIL)
    page = write(f"scan={tmp_path / 'scan'}")
    assert page.data["data"]["rows"][0]["source"] == EVIL
    assert EVIL in page.data["data"]["rows"][0]["id"]
    assert ["1", "ON", EVIL, "panel_0.h5"] in page.rows
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 3
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert len(events) == 4


def test_a_damaged_cut_out_leaves_one_event_without_an_image(scan, caplog):
    (scan / "cutouts" / "event_000002" / "panel_3.h5").write_bytes(b"no filterbank")
    rows = write(f"scan={scan}", "cadences=3").data["data"]["rows"]
    assert [row["small"] is None for row in rows] == [False, True, False]
    (line,) = caplog.messages
    assert line.startswith(f"1 of 3 events cannot be drawn, first: {scan / 'cutouts'}")


def test_a_scan_without_events_has_a_page(scan):
    table = pd.read_csv(scan / "events.csv").head(0)
    table.to_csv(scan / "events.csv", index=False)
    assert write(f"scan={scan}").data["data"]["rows"] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["scan={scan}", "ckpt_dir=a"], "ckpt_dir=a and scan={scan} are two pages: give one of them"),
        (
            ["scan={scan}", "data.root=d"],
            "data.root=d is for the cadences of an experiment: a scan's folder holds its own images",
        ),
        (["scan={scan}x"], "scan={scan}x is not a folder: give one that seti scan has written, scans/<name>"),
        (["scan={scan}/figures"], "scan={scan}/figures holds no scan.json: give a folder that seti scan has written, "),
        (["ckpt_dir={scan}"], "ckpt_dir={scan} is the folder of a scan: seti report scan={scan}"),
        (["scan=[]"], "scan=[] is neither a scan's folder nor a list: scan=[scans/<a>,scans/<b>]"),
    ],
)
def test_wrong_settings_are_refused(scan, settings, message):
    with pytest.raises(SetiError, match=f"^{re.escape(message.format(scan=scan))}"):
        write(*(one.format(scan=scan) for one in settings))


def test_unfinished_and_damaged_scans_are_refused(scan):
    (scan / "events.csv").write_text("event,freq_mhz\n1,2\n")
    with pytest.raises(SetiError, match=r"events.csv has no column ra_deg"):
        write(f"scan={scan}")
    (scan / "scan.json").write_text(json.dumps({"settings": 3}))
    with pytest.raises(SetiError, match=r"scan.json is damaged: delete it, and the same command of seti scan"):
        write(f"scan={scan}")
    (scan / "scan.json").unlink()
    (scan / "channels").mkdir()
    (scan / "channels" / "settings.json").write_text("{}")
    message = f"scan={scan} is not finished: the same command of seti scan goes on with it"
    with pytest.raises(SetiError, match=f"^{re.escape(message)}$"):
        write(f"scan={scan}")
