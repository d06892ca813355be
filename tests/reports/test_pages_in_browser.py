"""Pages in a real browser: headless Chromium, one for all tests."""

import json
import re
import shutil
import time

import chromium
import pandas as pd
import pytest
from conftest import compose
from PIL import Image
from scan_folders import write_scan

from seti.experiments.experiment import Experiment
from seti.reports.pages.report import report

pytestmark = pytest.mark.skipif(
    chromium.skip(), reason="no browser: apt-get install chromium, and these tests open the pages in it"
)

MANY = 2000
SHOWN = "[...document.querySelectorAll('#cards li:not([hidden])')].map(card => card.dataset.id)"
FRAMED = "document.activeElement.dataset.id"
DATA = re.compile(r'(<script type="application/json" id="data">).*?(</script>)', re.DOTALL)


def wait_for(condition) -> None:
    end = time.monotonic() + chromium.PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    one = chromium.Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def page(trained_once, tmp_path_factory):
    """The report of an experiment with one fold of 20 cadences."""
    experiment = tmp_path_factory.mktemp("outputs") / "exp"
    shutil.copytree(trained_once("trainer.max_epochs=1"), experiment / "fold_0")
    return report(compose("report", [f"ckpt_dir={experiment}"]))


@pytest.fixture(scope="module")
def oof(page):
    return Experiment(page.parent).read_oof().set_index("id")


@pytest.fixture
def opened(browser, page):
    """The browser with the report, as a user sees it for the first time."""
    browser.resize(1400, 900)
    browser.open(page.as_uri())
    browser.run("localStorage.clear()")
    browser.reload()
    browser.errors.clear()
    browser.requests.clear()
    yield browser
    assert browser.errors == []
    assert browser.requests == []


def test_a_page_opens_without_an_error_or_a_request(opened):
    opened.reload()
    assert opened.run("document.querySelectorAll('#cards li').length") == 20
    broken = "[...document.images].filter(image => image.complete && !image.naturalWidth && image.src).length"
    assert opened.run(broken) == 0
    assert opened.run("document.getElementById('count').textContent") == "20 of 20 shown, 0 labelled"


def test_an_injected_script_does_not_run_and_no_other_machine_is_asked(browser, page, tmp_path):
    html = page.read_text().replace(
        "<main>", "<main><script>window.ran = 1</script><img src='http://localhost:9/x.png'>"
    )
    injected = tmp_path / "injected.html"
    injected.write_text(html)
    browser.open(injected.as_uri())
    assert browser.run("window.ran === undefined")
    assert len([line for line in browser.errors if "Content Security Policy" in line]) == 2


def test_cadences_are_sorted(opened, oof):
    for value, scores in (("high", oof["prob"].sort_values()[::-1]), ("low", oof["prob"].sort_values())):
        opened.choose("sort", value)
        assert oof["prob"][opened.run(SHOWN)].to_list() == pytest.approx(scores.to_list(), abs=1e-6)
    opened.choose("sort", "wrong")
    errors = (oof["prob"] - oof["target"]).abs()[opened.run(SHOWN)].to_list()
    assert errors == pytest.approx(sorted(errors, reverse=True), abs=1e-6)
    opened.choose("sort", "id")
    assert opened.run(SHOWN) == sorted(oof.index)


def test_cadences_are_filtered(opened, oof):
    opened.choose("target", "1")
    assert set(opened.run(SHOWN)) == set(oof.index[oof["target"] == 1])
    opened.choose("target", "")
    opened.choose("kind", "missed")
    missed = opened.run(SHOWN)
    assert missed
    assert set(missed) <= set(oof.index[oof["target"] == 1])
    opened.choose("kind", "")
    opened.choose("fold", "0")
    assert len(opened.run(SHOWN)) == 20
    middle = round(float(oof["prob"].median()), 6)
    opened.choose("from", str(middle))
    assert set(opened.run(SHOWN)) == set(oof.index[oof["prob"].round(6) >= middle])
    opened.choose("from", "")
    opened.choose("search", oof.index[3][2:].upper())
    assert opened.run(SHOWN) == [oof.index[3]]


def test_labels_by_keyboard_survive_a_reload_and_are_exported(opened, tmp_path):
    opened.run("document.querySelector('#cards li').focus()")
    ids = opened.run(SHOWN)[:5]
    for number, key in enumerate("foia"):
        assert opened.run(FRAMED) == ids[number]
        opened.press(key)
        opened.press("ArrowRight")
    opened.press("f")
    opened.press("Backspace")
    opened.reload()
    marks = (
        "[...document.querySelectorAll('#cards .mark')].slice(0, 5).map(mark => mark.hidden ? '' : mark.textContent)"
    )
    assert opened.run(marks) == ["follow up", "hits in OFF", "interesting", "artefact", ""]
    assert opened.run("document.getElementById('count').textContent") == "20 of 20 shown, 4 labelled"
    opened.choose("label", "interesting")
    assert opened.run(SHOWN) == [ids[2]]

    opened.save_downloads(tmp_path)
    opened.run("document.getElementById('export').click()")
    wait_for((tmp_path / "labels.csv").exists)
    exported = pd.read_csv(tmp_path / "labels.csv")
    assert exported["id"].to_list() == ids[:4]
    assert exported["label"].to_list() == ["follow up", "hits in OFF", "interesting", "artefact"]


def test_keys_in_the_search_field_set_no_label(opened):
    opened.run("document.getElementById('search').focus()")
    for key in "fa":
        opened.press(key)
    assert opened.run("document.getElementById('count').textContent").endswith("0 labelled")


def test_a_cadence_opens_in_full_size_and_takes_labels_there(opened):
    ids = opened.run(SHOWN)
    opened.run("document.querySelector('#cards li').click()")
    source = "new Promise(done => setTimeout(() => done(document.querySelector('dialog img')), 50)).then(image => "
    assert opened.run("document.getElementById('full').open")
    assert opened.run(f"{source}image.decode().then(() => image.naturalWidth))") > 300
    assert opened.run("document.querySelector('dialog img').src").endswith(f"report_files/full/{ids[0]}.jpg")
    opened.press("ArrowRight")
    opened.press("o")
    assert opened.run("document.querySelector('dialog p').textContent").endswith(" - hits in OFF")
    opened.press("Escape")
    wait_for(lambda: opened.run(FRAMED) == ids[1])


def test_full_size_has_axes_and_buttons_for_those_without_a_keyboard(opened):
    ids = opened.run(SHOWN)
    opened.run("document.querySelector('#cards li').click()")
    texts = "[...document.querySelectorAll('.plot {} i')].map(one => one.textContent)"
    bins = 256
    assert opened.run(texts.format(".letters")) == list("ABACAD")
    assert opened.run(texts.format(".ticks")) == [str(bins * share // 4) for share in range(5)]
    assert opened.run("document.querySelector('.plot .x').textContent") == "frequency bin"
    pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map(one => one.dataset.label)"
    assert opened.run(pressed) == [""]
    opened.run("document.querySelector('[data-label=interesting]').click()")
    assert opened.run(pressed) == ["interesting"]
    opened.run("document.querySelector('[data-step=\"1\"]').click()")
    assert opened.run("document.querySelector('dialog p').textContent").startswith(ids[1])
    assert opened.run(pressed) == [""]
    opened.run("document.getElementById('close').click()")
    assert opened.run("document.querySelector('#cards .mark').textContent") == "interesting"
    wait_for(lambda: opened.run(FRAMED) == ids[1])


def test_a_page_that_is_sent_alone_shows_the_thumbnail_in_full_size(browser, page, tmp_path):
    alone = tmp_path / "alone.html"
    alone.write_text(page.read_text())
    browser.open(alone.as_uri())
    browser.run("document.querySelector('#cards li').click()")
    wait_for(lambda: browser.run("document.querySelector('dialog img').src").startswith("data:image/jpeg"))


@pytest.mark.parametrize("width", [1400, 400])
def test_no_page_is_wider_than_its_window(opened, width):
    opened.resize(width, 900)
    assert opened.run("document.documentElement.scrollWidth") <= width


def test_thousands_of_cadences_scroll(browser, page, tmp_path):
    gallery = json.loads(DATA.search(page.read_text())[0].split(">", 1)[1].removesuffix("</script>"))
    rows = []
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(MANY):
        Image.new("RGB", (155, 219), (number % 256, 0, 0)).save(folder / f"{number}.jpg")
        rows.append(gallery["rows"][0] | {"id": f"c{number}", "small": f"files/{number}.jpg", "score": number / MANY})
    many = tmp_path / "many.html"
    data = json.dumps(gallery | {"rows": rows})
    many.write_text(DATA.sub(lambda found: found[1] + data + found[2], page.read_text()))
    browser.resize(1400, 900)
    browser.open(many.as_uri())
    loaded = "[...document.querySelectorAll('#cards img')].filter(image => image.naturalWidth).length"
    assert browser.run(loaded) < MANY / 4  # images out of sight wait
    began = time.monotonic()
    browser.choose("sort", "high")
    assert browser.run(SHOWN)[:2] == [f"c{MANY - 1}", f"c{MANY - 2}"]
    # A screen at each frame, from top to bottom: a browser that lays all cards out takes far longer.
    frames = browser.run(
        "new Promise(done => { let count = 0; const step = () => { scrollBy(0, 900); count += 1;"
        " if (count < 60) requestAnimationFrame(step); else done(count); }; step(); })"
    )
    assert frames == 60
    assert time.monotonic() - began < 20


def test_events_are_sorted_filtered_labelled_and_exported(browser, tmp_path):
    events = write_scan(tmp_path / "scan").set_index("event")
    page = report(compose("report", [f"scan={tmp_path / 'scan'}"]))
    browser.resize(400, 900)
    browser.open(page.as_uri())
    browser.errors.clear()
    shown = (
        f"{SHOWN}.map(id => JSON.parse(document.getElementById('data').textContent).rows.find(r => r.id === id).event)"
    )
    for value, column, rising in (
        ("bright", "snr", False),
        ("frequency", "freq_mhz", True),
        ("drift", "drift_hz_s", True),
    ):
        browser.choose("sort", value)
        assert browser.run(shown) == list(events[column].sort_values(ascending=rising).index)
    browser.choose("snr_from", "15")
    browser.choose("excluded", "0")
    assert set(browser.run(shown)) == {1, 2}
    browser.choose("drift_hz_s_to", "-1")
    assert browser.run(shown) == [2]
    browser.run("document.querySelector('#cards li:not([hidden])').focus()")
    browser.press("f")
    browser.save_downloads(tmp_path)
    browser.run("document.getElementById('export').click()")
    wait_for((tmp_path / "labels.csv").exists)
    (exported,) = pd.read_csv(tmp_path / "labels.csv").to_dict("records")
    assert (exported["label"], exported["event"], exported["source"]) == ("follow up", 2, "HIP1")
    assert exported["freq_mhz"] == pytest.approx(events["freq_mhz"][2])
    assert browser.run("document.documentElement.scrollWidth") <= 400
    assert browser.errors == []


def test_a_label_is_of_an_event_in_all_scans_of_its_observations(browser, tmp_path):
    for name in ("one", "two"):
        write_scan(tmp_path / "scans" / name)
    browser.resize(1400, 900)
    browser.open(report(compose("report", [f"scan={tmp_path / 'scans'}"])).as_uri())
    browser.run("document.querySelector('#cards li').focus()")
    browser.press("i")
    assert browser.run("[...document.querySelectorAll('.mark')].filter(mark => !mark.hidden).length") == 2
    browser.save_downloads(tmp_path)
    browser.run("document.getElementById('export').click()")
    wait_for((tmp_path / "labels.csv").exists)
    assert pd.read_csv(tmp_path / "labels.csv")["label"].to_list() == ["interesting"]
