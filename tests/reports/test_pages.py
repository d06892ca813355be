"""Pages about experiments: their content, and their behaviour in a browser."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from conftest import compose, read_json
from sklearn.metrics import roc_auc_score

from seti.data import competition
from seti.errors import SetiError
from seti.evaluation.recall import recall_at
from seti.experiments.experiment import Experiment
from seti.reports import cross_validation
from seti.reports.gallery import show
from seti.reports.pages import cadences, image_files, images, plots, ranking, rendering
from seti.reports.pages import report as pages_report
from seti.reports.pages.report import report

EVIL = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Texts and attributes of a page, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.marked, self.data, self.rows = [], {}, {}, []
        self._inside, self._value = None, None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        self._value = dict(attrs).get("data-value")
        self._inside = dict(attrs).get("id") if tag == "script" else tag

    def handle_endtag(self, tag):
        self._inside, self._value = None, None

    def handle_data(self, data):
        if self._value:
            self.marked[self._value] = data
        elif self._inside in ("data", "labels"):
            self.data[self._inside] = json.loads(data)
        elif self._inside in ("td", "th", "a") and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def write(*overrides: str) -> Page:
    """Write a report in this process, and read the page."""
    return Page(report(compose("report", list(overrides))).read_text())


@pytest.fixture
def half_trained(finished, outputs, no_figures):
    """The folder of an experiment with one of its two folds."""
    finished("trainer.max_epochs=1")
    return outputs / "exp"


@pytest.fixture
def whole(half_trained, finished):
    finished("trainer.max_epochs=1", "fold=1")
    return half_trained


def test_recall_at_one_percent_false_alarms():
    rng = np.random.default_rng(0)
    targets, scores = rng.integers(0, 2, 5000), rng.normal(size=5000)
    scores = np.round(scores + targets, 2)  # with ties
    recall, threshold = recall_at(targets, scores)
    assert (scores[targets == 0] >= threshold).mean() <= 0.01
    assert recall == (scores[targets == 1] >= threshold).mean()
    lower = scores[scores < threshold].max()
    assert (scores[targets == 0] >= lower).mean() > 0.01


def test_no_threshold_gives_few_false_alarms_where_the_highest_score_is_one():
    assert recall_at(np.array([1, 0]), np.array([0.2, 0.9])) == (0.0, None)


def test_the_page_holds_the_numbers_of_cv_json(whole, capsys):
    cross_validation.report(whole)
    cv = read_json(whole / "cv.json")
    capsys.readouterr()
    page = write(f"ckpt_dir={whole}")
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {whole / 'report.html'}: open it in a browser"
    for key in ("mean_auc", "pooled_auc", "calibration_error", "brier"):
        assert page.marked[key] == f"{cv[key]:.4f}"
    assert (page.marked["cadences"], page.marked["positives"]) == ("40", "20")
    for fold in cv["folds"]:
        row = [str(fold["fold"]), f"{fold['auc']:.4f}", f"{fold['loss']:.4f}", "1", f"{fold['seconds']:.0f}"]
        assert row in page.rows
    assert ["data.image_size", "[512, 512]", "[24, 32]"] in page.rows
    assert ["trainer.max_epochs", "10", "1"] in page.rows
    assert not any(row[:1] in (["seed"], ["exp_name"], ["output_dir"]) for row in page.rows)


def test_the_gallery_holds_every_cadence_with_its_score_label_and_kind(whole):
    page = write(f"ckpt_dir={whole}")
    oof = Experiment(whole).read_oof().set_index("id")
    rows = page.data["data"]["rows"]
    assert {row["id"] for row in rows} == set(oof.index)
    _, threshold = recall_at(oof["target"].to_numpy(), oof["prob"].to_numpy())
    threshold = np.inf if threshold is None else threshold
    kinds = {(1, True): "found", (1, False): "missed", (0, True): "false alarm", (0, False): "rejected"}
    for row in rows:
        own = oof.loc[row["id"]]
        assert (row["fold"], row["target"]) == (own["fold"], own["target"])
        assert row["score"] == pytest.approx(own["prob"], abs=1e-6)
        assert row["kind"] == kinds[own["target"], bool(own["prob"] >= threshold)]
        assert row["small"].startswith("data:image/jpeg;base64,")
        assert (whole / row["large"]).read_bytes().startswith(b"\xff\xd8")


def test_thumbnails_that_a_page_cannot_hold_are_files_next_to_it(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "INLINE", 0)
    out = tmp_path / "a page #1.html"
    rows = write(f"ckpt_dir={whole}", f"out={out}", "cadences=6").data["data"]["rows"]
    assert rows[0]["small"] == f"a%20page%20%231_files/small/{rows[0]['id']}.jpg"
    assert len(list((tmp_path / "a page #1_files").rglob("*.jpg"))) == 12
    write(f"ckpt_dir={whole}", f"out={out}", "cadences=2")
    assert len(list((tmp_path / "a page #1_files").rglob("*.jpg"))) == 4


def test_figures_that_a_page_cannot_hold_are_files_next_to_it(whole, tmp_path, monkeypatch):
    content = base64.b64encode(b"<svg/>" * 225_000).decode()
    monkeypatch.setattr(images, "figure_uri", lambda figure: f"data:image/svg+xml;base64,{content}")
    monkeypatch.setattr(image_files, "LARGEST", 3 * len(content) + 10_000)
    page = write(f"ckpt_dir={whole}", f"out={tmp_path / 'page.html'}", "cadences=2")
    assert (tmp_path / "page.html").stat().st_size < 6_000_000
    sources = [dict(attributes)["src"] for tag, attributes in page.tags if tag == "img" and "src" in attributes]
    assert [one[:25] for one in sources[:3]] == ["data:image/svg+xml;base64"] * 3
    assert sources[3:] == [f"page_files/figures/{number:04d}.svg" for number in (4, 5, 6)]
    assert (tmp_path / sources[3]).read_bytes() == b"<svg/>" * 225_000
    assert "3 figures are in page_files, which belongs to this page." in (tmp_path / "page.html").read_text()
    rows = page.data["data"]["rows"]
    assert [row["small"] for row in rows] == [f"page_files/small/{row['id']}.jpg" for row in rows]


def test_images_of_an_earlier_page_stay_until_the_new_one_is_written(whole, tmp_path, monkeypatch):
    out = tmp_path / "page.html"
    write(f"ckpt_dir={whole}", f"out={out}", "cadences=4")
    before = set((tmp_path / "page_files").rglob("*.jpg"))

    def ended(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(rendering, "render", ended)
    with pytest.raises(KeyboardInterrupt):
        write(f"ckpt_dir={whole}", f"out={out}", "cadences=2")
    assert set((tmp_path / "page_files").rglob("*.jpg")) == before
    assert {row["large"] for row in Page(out.read_text()).data["data"]["rows"]} == {
        one.relative_to(tmp_path).as_posix() for one in before
    }


def test_the_best_experiments_have_sections_and_all_have_a_row(finished, outputs, no_figures, monkeypatch):
    monkeypatch.setattr(pages_report, "SECTIONS", 1)
    finished("trainer.max_epochs=1")
    shutil.copytree(outputs / "exp", outputs / "other")
    page = write(f"ckpt_dir=[{outputs / 'exp'},{outputs / 'other'}]", "cadences=0")
    rows = [row[0] for row in page.rows if len(row) == 8][1:]
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert (rows, sections) == (["exp", "other"], ["comparison", "experiment-1"])
    html = (outputs / "report.html").read_text()
    assert "1 more experiment has a row in the comparison and no section of their own." in html


def test_a_gallery_is_no_longer_than_a_page_can_hold(whole, monkeypatch, caplog):
    monkeypatch.setattr(cadences, "MOST", 3)
    assert len(write(f"ckpt_dir={whole}", "cadences=30").data["data"]["rows"]) == 3
    assert caplog.messages == ["cadences=30: a page has 3 at most, the most telling ones"]


def test_the_most_telling_cadences_come_first():
    table = pd.DataFrame(
        {
            "id": list("abcdefg"),
            "split": ["train"] * 5 + ["test"] * 2,
            "target": [0, 0, 1, 1, 1, None, None],
            "score": [0.9, 0.1, 0.2, 0.8, 0.5, 0.3, 0.7],
        }
    )
    assert list(cadences.choose(table, 4)["id"]) == ["g", "a", "c", "d"]
    assert list(cadences.choose(table, 100)["id"]) == ["g", "a", "c", "d", "f", "b", "e"]


def test_predicted_cadences_are_in_the_gallery(whole, predict, data_root):
    predict()
    rows = write(f"ckpt_dir={whole}").data["data"]["rows"]
    test = {row["id"]: row for row in rows if row["split"] == "test"}
    predictions = pd.read_csv(whole / "predictions.csv").set_index("id")["prob"]
    targets = competition.read_test_labels(data_root).set_index("id")["target"]
    assert set(test) == set(predictions.index)
    for one, row in test.items():
        assert row["score"] == pytest.approx(predictions[one], abs=1e-6)
        assert (row["fold"], row["target"]) == (None, targets[one])


def test_what_users_typed_is_shown_as_text(whole):
    # Ids cannot hold such characters, names and settings can.
    for path in whole.glob("fold_*/result.json"):
        result = read_json(path)
        result["config"]["data"]["pack_dir"] = EVIL
        result["overrides"] = [f"data.pack_dir={EVIL}"]
        result["versions"]["torch"] = EVIL
        path.write_text(json.dumps(result))
    named = whole.rename(whole.with_name("<b>x&y"))
    page = write(f"ckpt_dir={named}", "cadences=1")
    assert ["data.pack_dir", "null", EVIL] in page.rows
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 3
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.data["data"]["name"] == "<b>x&y"
    assert "b" not in {tag for tag, _ in page.tags}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["cadences=-1"], "cadences=-1 must be at least 0; 0 leaves the gallery out"),
        (["out=page"], "out=page is the page itself: give a file that ends in .html"),
    ],
)
def test_wrong_settings_are_refused(half_trained, settings, message):
    with pytest.raises(SetiError, match=f"^{re.escape(message)}$"):
        write(f"ckpt_dir={half_trained}", *settings)


def test_a_half_trained_experiment_says_which_folds_are_missing(half_trained, caplog):
    write(f"ckpt_dir={half_trained}", "cadences=0")
    (line,) = caplog.messages
    assert line.startswith("folds 1 of exp are not finished: the report is of the others; train them with: seti train")
    assert "Folds 1 of 2 are not finished." in (half_trained / "report.html").read_text()


def test_a_page_about_a_data_set_that_has_moved_has_no_images(whole, tmp_path, caplog):
    gone = tmp_path / "</script><script>alert(1)</script>"
    page = write(f"ckpt_dir={whole}", f"data.root={gone}")
    (line,) = caplog.messages
    assert line.startswith("no images: ")
    assert str(gone) in line
    assert line.endswith("; data.root=<folder> names the data set that the experiment was trained on")
    assert page.data["data"]["remark"] == line
    assert {row["small"] for row in page.data["data"]["rows"]} == {None}


def test_a_damaged_cadence_has_no_image(whole, own_data, caplog):
    damaged = competition.cadence_path(own_data, "train", Experiment(whole).read_oof()["id"][0])
    damaged.unlink()
    rows = write(f"ckpt_dir={whole}", f"data.root={own_data}").data["data"]["rows"]
    assert [row["id"] for row in rows if row["small"] is None] == [damaged.stem]
    (line,) = caplog.messages
    assert line.startswith("1 of 40 cadences have no image, first: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot read {path} as a table: its first line does not name columns, each once; fix or replace the file"),
        (
            "epoch\n0\n",
            "{path} has no column train_loss, val_loss, val_auc: it has epoch; name its columns epoch, train_loss, "
            "val_loss, val_auc",
        ),
    ],
)
def test_damaged_curves_and_figures_are_left_out(whole, caplog, text, reason):
    path, figure = whole / "fold_1" / "metrics.csv", whole / "fold_0" / "lr_range.png"
    path.write_text(text)
    figure.write_text("no image")
    page = write(f"ckpt_dir={whole}", "cadences=0")
    assert caplog.messages == [
        f"the page leaves out the curves of fold 1: {reason.format(path=path)}",
        f"the page leaves out a figure: cannot identify image file '{figure}'",
    ]
    titles = [dict(attributes)["alt"] for tag, attributes in page.tags if tag == "img" and "src" in attributes]
    assert titles[0] == "Loss of exp"
    assert not any("Learning-rate" in title for title in titles)


def test_labels_are_read_back(whole, tmp_path):
    one, two = Experiment(whole).read_oof()["id"][:2]
    path = tmp_path / "labels.csv"
    path.write_text(f"id,label\n{one},follow up\n{two},artefact\n")
    data = write(f"ckpt_dir={whole}", f"labels={path}", "cadences=1").data["data"]
    assert data["labels"] == {one: "follow up", two: "artefact"}
    assert {one, two} <= {row["id"] for row in data["rows"]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "elsewhere,artefact",
            "{path} labels 1 of 1 cadences that exp does not have, first elsewhere: "
            "give the labels of the same data set",
        ),
        ("a,wow", "{path} labels a 'wow': labels are follow up, hits in OFF, interesting, artefact"),
        ("a,artefact\na,artefact", "{path} labels a twice: keep one of the rows"),
    ],
)  # fmt: skip
def test_wrong_labels_are_refused(whole, tmp_path, rows, message):
    path = tmp_path / "labels.csv"
    path.write_text(f"id,label\n{rows}\n")
    with pytest.raises(SetiError, match=f"^{re.escape(message.format(path=path))}$"):
        write(f"ckpt_dir={whole}", f"labels={path}")


def test_experiments_side_by_side_are_sorted_with_the_settings_in_which_they_differ(finished, outputs, no_figures):
    finished("trainer.max_epochs=1")
    finished("trainer.max_epochs=1", "optimizer.lr=0.02", "exp_name=other")
    paths = [(outputs / "exp").rename(outputs / "a & $x$"), outputs / "other"]
    page = write(f'ckpt_dir=["{paths[0]}",{paths[1]}]', "cadences=1")
    assert (outputs / "report.html").exists()
    scores = {}
    for path in paths:
        oof = Experiment(path).read_oof()
        scores[path.name] = roc_auc_score(oof["target"], oof["prob"])
    order = sorted(scores, key=scores.get, reverse=True)
    assert [row[:2] for row in page.rows if len(row) == 8][1:] == [[name, f"{scores[name]:.4f}"] for name in order]
    rates = {"a & $x$": "0.0006", "other": "0.02"}
    assert ["setting", *order] in page.rows
    assert ["optimizer.lr", *(rates[name] for name in order)] in page.rows
    assert len([row for row in page.rows if row[0] == "optimizer.lr" and len(row) == 3]) >= 1
    assert page.data["data"]["name"] == order[0]


def test_labelled_cadences_are_drawn(data_root, tmp_path):
    one, two = competition.read_labels(data_root)["id"][:2]
    path = tmp_path / "labels.csv"
    path.write_text(f"id,label\n{two},artefact\n{one},follow up\n")
    assert show([one], tmp_path / "figures", data_root, labels_path=path) == [
        tmp_path / "figures" / f"{name}.png" for name in (one, two)
    ]
    path.write_text("id,label\nelsewhere,artefact\n")
    with pytest.raises(SetiError, match=f"labels 1 of 1 cadences that {data_root} does not have"):
        show([], tmp_path / "figures", data_root, labels_path=path)
    path.write_text("id,label\n")
    with pytest.raises(SetiError, match=r"labels no cadence: label some on the page of seti report"):
        show([], tmp_path / "figures", data_root, labels_path=path)


def test_points_of_a_curve_that_no_page_shows_are_left_out():
    x = np.sort(np.random.default_rng(0).random(50_000))
    kept = plots.thinned(x, x**2)
    assert len(kept) <= 4 * plots.STEPS
    assert (kept[0], kept[-1]) == (0, len(x) - 1)
    assert np.interp(x, x[kept], x[kept] ** 2) == pytest.approx(x**2, abs=2 / plots.STEPS)


def test_names_in_a_legend_are_no_formulas_and_not_too_long():
    name = r"a $\frac$ " + 60 * "b" + " c"
    curves = {name: (np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]))}
    for figure in (plots.draw_roc(curves, name), plots.draw_recall(curves)):
        images.figure_uri(figure)  # a formula that cannot be read would raise
        (text,) = (text.get_text() for text in figure.legends[0].get_texts())
        assert text.endswith("bbb c")
        assert r"a \$\frac\$ bbb" in text
        assert len(text) < 65


def test_cadences_of_known_snr_have_it(whole, own_data):
    oof = Experiment(whole).read_oof().set_index("id")
    truth = pd.read_csv(own_data / "truth.csv").set_index("id")["snr"]
    data = write(f"ckpt_dir={whole}").data["data"]
    assert data["has_snr"]
    for row in data["rows"]:
        known = truth.get(row["id"])
        assert row["snr"] == (None if pd.isna(known) else pytest.approx(known, abs=0.06))
        assert (row["snr"] is None) <= (oof["target"][row["id"]] == 0)


def test_an_snr_column_of_the_labels_is_used_and_a_data_set_without_has_no_filter(own_data):
    (own_data / "truth.csv").unlink()
    assert ranking.read_snrs(own_data).empty
    labels = competition.read_labels(own_data)
    labels.assign(snr=[*range(39), None]).to_csv(own_data / "train_labels.csv", index=False)
    assert ranking.read_snrs(own_data).to_dict() == dict(zip(labels["id"][:39], range(39), strict=True))


def test_predict_writes_the_page_too(half_trained, predict, capsys):
    predict("report=true")
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {half_trained / 'report.html'}: open it in a browser"
    assert {row["split"] for row in Page((half_trained / "report.html").read_text()).data["data"]["rows"]} == {
        "train",
        "test",
    }


def test_predictions_elsewhere_have_no_page(half_trained, predict, tmp_path):
    message = (
        f"report=true is of an experiment with its own predictions, and ckpt_dir={half_trained} is predicted "
        "elsewhere: set report=false"
    )
    with pytest.raises(SetiError, match=f"^{re.escape(message)}$"):
        predict("report=true", f"out={tmp_path / 'elsewhere'}")


@pytest.fixture
def search(finished, outputs, no_figures):
    """A search of three trials: one with all of its folds, one that ended early, and one that failed."""
    finished("trainer.max_epochs=1")
    folder = outputs / "tune"
    for trial in ("trial_000", "trial_001"):
        shutil.copytree(outputs / "exp", folder / trial)
    (folder / "study.journal").write_text("")
    (folder / "trials.csv").write_text(
        "trial,state,folds,auc,optimizer.lr,mixup.alpha\n"
        f"trial_000,pruned,1,0.6,0.00123456,\ntrial_001,complete,1,0.55,0.01,{EVIL.replace(',', '')}\n"
        "trial_002,fail,0,,0.1,0.4\n"
    )
    (folder / "tune.json").write_text(json.dumps({"importance": {"optimizer.lr": 0.7, "mixup.alpha": 0.3}}))
    return folder


def test_the_page_of_a_search_has_its_trials_and_figures_best_first(search, monkeypatch, caplog):
    drawn = []
    monkeypatch.setattr(images, "figure_uri", lambda figure: drawn.append(figure) or "data:,")
    page = write(f"ckpt_dir={search}", "cadences=0")
    trials = [row for row in page.rows if len(row) == 6]
    assert [row[:5] for row in trials] == [
        ["trial", "mean AUC", "folds", "state", "optimizer.lr"],
        ["trial_001", "0.5500", "1", "all folds", "0.01"],
        ["trial_000", "0.6000", "1", "ended early", "0.00123"],
        ["trial_002", "", "0", "failed", "0.1"],
    ]
    assert [row[5] for row in trials[1:]] == [EVIL, "null", "0.4"]
    bars = [axis for figure in drawn for axis in figure.axes if axis.get_xlabel().startswith("share of the diff")]
    assert [[bar.get_width() for bar in axis.patches] for axis in bars] == [[0.3, 0.7]]
    # Only the trial with all folds has a section; folds outside the search are no news.
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert sections == ["study", "experiment-1"]
    assert caplog.messages == []


def test_the_page_of_a_trial_has_its_search(search, caplog):
    page = write(f"ckpt_dir={search / 'trial_000'}", "cadences=0")
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert sections == ["experiment-1", "study"]
    assert f"3 trials in {search}; this page is about trial_000." in (search / "trial_000" / "report.html").read_text()


def test_a_search_of_too_few_trials_says_that_no_importance_is_known(search):
    (search / "tune.json").unlink()
    write(f"ckpt_dir={search}", "cadences=0")
    assert "The importance of the settings is not known: too few trials" in (search / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["ckpt_dir=[{search},{search}/trial_000]"],
            "ckpt_dir=['{search}', '{search}/trial_000']: the page of a search has its trials side by side; give "
            "{search} alone",
        ),
        (
            ["ckpt_dir={search}/../bare"],
            "ckpt_dir={search}/../bare is a search without a finished fold: the same command of seti tune goes on "
            "with it",
        ),
    ],
)
def test_searches_without_a_page_are_refused(search, words, message):
    bare = search.parent / "bare"
    bare.mkdir()
    for name in ("trials.csv", "study.journal"):
        shutil.copy(search / name, bare)
    with pytest.raises(SetiError, match=f"^{re.escape(message.format(search=search))}$"):
        write(*(word.format(search=search) for word in words))
