import json
from pathlib import Path

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from unit_helpers import seal, seal_predictions

from seti import show
from seti.config.compose import compose
from seti.errors import SetiError
from seti.experiments.experiment import Experiment
from seti.reports import figures, gallery, score_plots, training_plots, waterfalls

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def cadence() -> np.ndarray:
    """Skewed noise with a one-bin spike in all panels and a faint drifting needle in the ON panels."""
    panels = np.random.default_rng(0).gamma(2, 0.3, (6, 60, 64))
    panels[:, :, 20] = 16
    for panel in (0, 2, 4):
        panels[panel, np.arange(60), 30 + np.arange(60) // 10] += 3
    return panels.astype(np.float16)


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_a_cadence_is_drawn_as_six_panels_with_their_targets(cadence):
    figure = waterfalls.draw_cadence(cadence, id="0028a35de92941d", label=1, score=0.91251)
    assert figure.get_suptitle() == "0028a35de92941d   needle   score 0.913"
    assert [texts(axis) for axis in figure.axes] == [
        ["A", "ON"],
        ["B", "OFF"],
        ["A", "ON"],
        ["C", "OFF"],
        ["A", "ON"],
        ["D", "OFF"],
    ]
    colours = [matplotlib.colors.to_hex(axis.texts[0].get_color()).upper() for axis in figure.axes]
    assert colours == [waterfalls.ON_COLOUR, waterfalls.OFF_COLOUR] * 3
    for axis, panel in zip(figure.axes, cadence, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), panel.astype(np.float32))
    assert figure.axes[-1].get_xlabel() == "frequency bin"
    assert figure.get_supylabel() == "time row"
    assert {axis.get_xlim() for axis in figure.axes} == {(-0.5, 63.5)}
    top, bottom = figure.axes[0].get_ylim()[::-1]
    assert top < bottom  # time increases downwards


@pytest.mark.parametrize(
    ("label", "score", "title"),
    [
        (0, None, "x   no needle"),
        (None, 0.5, "x   score 0.500"),
        (None, None, "x"),
        (None, 0.0, "x   score 0.000"),
    ],
)
def test_the_title_shows_label_and_score_if_known(cadence, label, score, title):
    assert waterfalls.draw_cadence(cadence, id="x", label=label, score=score).get_suptitle() == title


def test_the_colour_scale_shows_the_needle_and_saturates_the_spike(cadence):
    low, high = waterfalls.panel_limits(cadence[0])
    values = cadence[0].astype(float)
    assert (low, high) == pytest.approx(np.percentile(values, [1, 98]), rel=1e-3)
    # The needle is bright and the background is not, though the spike is 16.
    assert np.median(values) < low + 0.4 * (high - low)
    assert high < 5


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_a_constant_panel_is_drawn(value):
    low, high = waterfalls.panel_limits(np.full((4, 5), value, np.float16))
    assert low < value < high


def test_a_single_bright_pixel_in_a_constant_panel_is_visible():
    panel = np.zeros((40, 40))
    panel[3, 3] = 7
    assert waterfalls.panel_limits(panel) == (0, 7)


def test_other_numbers_of_panels_and_rows_are_drawn(cadence):
    assert [texts(axis)[0] for axis in waterfalls.draw_cadence(cadence[:3, :1], id="x").axes] == ["A", "A", "A"]
    assert len(waterfalls.draw_cadence(cadence[:1], id="x", letters="B").axes) == 1
    with pytest.raises(ValueError, match="names 2 panels, but there are 6"):
        waterfalls.draw_cadence(cadence, id="x", letters="AB")


def test_a_gallery_has_one_image_per_cadence_all_of_one_size(cadence):
    shown = [waterfalls.LabelledCadence(cadence, f"id{number}", number % 2, number / 10) for number in range(5)]
    figure = waterfalls.draw_gallery({"First": shown, "Second": shown[:1]}, title="everything", columns=3)
    assert len(figure.axes) == 6
    assert figure.axes[1].get_title() == "id1\nneedle  score 0.100"
    assert [text.get_text() for text in figure.texts] == ["everything", "First", "", "Second"]
    assert len({tuple(np.round(axis.get_position().size, 6)) for axis in figure.axes}) == 1
    bottoms = [round(axis.get_position().y0, 6) for axis in figure.axes]
    assert bottoms[0] == bottoms[2] > bottoms[3] == bottoms[4] > bottoms[5]
    assert texts(figure.axes[0]) == list("ABACAD")
    image = figure.axes[0].images[0].get_array()
    assert np.nanmin(image) == 0
    assert np.nanmax(image) == 1
    assert len(waterfalls.draw_gallery(shown).axes) == 5


def test_roc_curves_show_their_area():
    targets = np.array([0, 0, 1, 1])
    figure = score_plots.draw_roc({"good": (targets, np.array([0.1, 0.4, 0.35, 0.8])), "_bad": (targets, -targets)})
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["AUC 0.5000  chance", "AUC 0.7500  good", "AUC 0.0000  _bad"]
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_xydata()[-1], [1, 1])


def test_many_curves_differ_in_colour_or_line_style():
    styles = {tuple(figures.line_style(number).values()) for number in range(28)}
    assert len(styles) == 28


def test_a_history_counts_epochs_from_one_and_marks_each_folds_best():
    table = pd.DataFrame(
        {"epoch": [0, 1, 2], "train_loss": [3, 2, 1], "val_loss": [3, 2, 2.5], "val_auc": [0.5, 0.8, 0.7]}
    )
    dead = table.assign(val_auc=np.nan)
    losses, aucs = training_plots.draw_history({0: table, 3: dead}).axes
    labels = [text.get_text() for text in aucs.get_legend().get_texts()]
    assert labels == ["fold 0  best 0.8000", "fold 3"]
    assert [2.0, 0.8] in [line.get_xydata().tolist()[0] for line in aucs.lines if len(line.get_xydata()) == 1]
    np.testing.assert_array_equal(losses.lines[0].get_ydata(), table["train_loss"])
    assert losses.lines[0].get_linestyle() == "--"


def test_the_rank_correlation_is_written_into_the_cells():
    columns = pd.DataFrame({"a": [0.1, 0.2, 0.3, 0.9], "b": [1.0, 4.0, 9.0, 16.0], "c": [4, 3, 1, 2]})
    correlation = score_plots.rank_correlation(columns)
    assert correlation.loc["a", "b"] == pytest.approx(1)
    assert correlation.loc["a", "c"] == pytest.approx(columns.corr("spearman").loc["a", "c"])
    figure = score_plots.draw_correlation(columns)
    assert texts(figure.axes[0])[:3] == ["1.00", "1.00", "-0.80"]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]


def test_a_range_test_marks_the_suggestion_and_hides_the_divergence():
    lr = np.geomspace(1e-6, 1, 60)
    smoothed = np.where(lr < 0.1, 0.7 - 0.2 / (1 + (1e-3 / lr)), 1e6)
    curve = pd.DataFrame({"lr": lr, "loss": smoothed, "smoothed": smoothed})
    diverged = curve.assign(smoothed=np.nan)
    axis = training_plots.draw_lr_range({"a": curve, "b": curve, "c": diverged}, {"a": 1e-3, "b": None}).axes[0]
    assert axis.get_xscale() == "log"
    assert axis.get_ylim()[1] < 1
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["suggests 0.001:  a", "no suggestion:  b", "no suggestion:  c"]
    marked = [line.get_xydata()[0] for line in axis.lines if line.get_marker() == "o"]
    assert len(marked) == 1
    assert marked[0] == pytest.approx([1e-3, 0.6], rel=0.01)


def test_a_figure_is_written_atomically(tmp_path, cadence):
    figure = waterfalls.draw_cadence(cadence, id="x")
    path = figures.save_figure(figure, tmp_path / "deep" / "x.png")
    before = path.read_bytes()
    assert before.startswith(PNG)
    assert before.rstrip().endswith(b"IEND\xaeB`\x82")

    def break_off(temporary, **_):
        Path(temporary).write_bytes(PNG)
        raise OSError("disk full")

    figure.savefig = break_off
    with pytest.raises(OSError, match="disk full"):
        figures.save_figure(figure, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["x.png"]


@pytest.fixture
def root(tmp_path, cadence) -> Path:
    """Data set of 20 training and 8 test cadences."""
    root = tmp_path / "data"
    train = [f"a{number}" for number in range(20)]
    test = [f"b{number}" for number in range(8)]
    for split, ids in (("train", train), ("test", test)):
        for cadence_id in ids:
            path = root / split / cadence_id[0] / f"{cadence_id}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, cadence[:, :12, :16])
    pd.DataFrame({"id": train, "target": [0, 1] * 10}).to_csv(root / "train_labels.csv", index=False)
    pd.DataFrame({"id": test, "target": 0.5}).to_csv(root / "sample_submission.csv", index=False)
    return root


@pytest.fixture
def experiment(tmp_path, root) -> Experiment:
    """Experiment of two folds, in which cadence a<n> has probability n / 100."""
    path = tmp_path / "outputs" / "exp"
    for fold in (0, 1):
        folder = path / f"fold_{fold}"
        folder.mkdir(parents=True)
        numbers = range(10 * fold, 10 * fold + 10)
        rows = [{"id": f"a{n}", "fold": fold, "target": n % 2, "prob": n / 100} for n in numbers]
        pd.DataFrame(rows).to_csv(folder / "oof.csv", index=False)
        result = {
            "fold": fold,
            "n_folds": 2,
            "exp_name": "exp",
            "scores": {"auc": 0.5, "loss": 0.7},
            "checkpoint": "checkpoints/best.ckpt",
            "data": {"root": str(root), "fingerprint": "f"},
            "config": {},
        }
        (folder / "result.json").write_text(json.dumps(result))
    seal(path)
    return Experiment(path)


def draw(ids=(), out="unused", **options) -> list[Path]:
    return gallery.show(list(ids), Path(out), **options)


def drawn_titles(monkeypatch, run) -> list[str]:
    drawn = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path, dpi=0: drawn.append(figure) or path)
    run()
    return [figure.get_suptitle() for figure in drawn]


def test_show_draws_ids_and_prints_their_paths(root, tmp_path, capsys):
    out = tmp_path / "figures"
    show.main.__wrapped__(compose("show", f"data.root={root}", "ids=[a3,b5]", f"out={out}"))
    paths = [out / "a3.png", out / "b5.png"]
    assert capsys.readouterr().out.split() == list(map(str, paths))
    assert all(path.read_bytes().startswith(PNG) for path in paths)


def test_show_names_labels_and_scores(root, experiment, monkeypatch, caplog):
    predictions = pd.DataFrame({"id": ["b5", "b2"], "prob": [0.25, 0.75]})
    predictions.assign(fold_0=0.5, fold_1=0.5).to_csv(experiment.predictions_path, index=False)
    seal_predictions(experiment.path)
    settings = {"ids": ["a3", "a4", "b5", "b6"], "ckpt_dir": experiment.path}
    assert drawn_titles(monkeypatch, lambda: draw(**settings)) == [
        "a3   needle   score 0.030",
        "a4   no needle   score 0.040",
        "b5   score 0.250",
        "b6",
    ]
    labels = pd.DataFrame({"id": [f"b{n}" for n in range(8)], "target": [0, 0, 0, 0, 0, 1, 0, 0]})
    labels.to_csv(root / "test_labels.csv", index=False)
    settings = {"ids": ["b5", "b6"], "root": root}
    assert drawn_titles(monkeypatch, lambda: draw(**settings)) == ["b5   needle", "b6   no needle"]
    labels.assign(target=7).to_csv(root / "test_labels.csv", index=False)
    assert drawn_titles(monkeypatch, lambda: draw(**settings)) == ["b5", "b6"]
    assert "no test labels: " in caplog.text


@pytest.mark.parametrize("bad", ["../a3", "a/a3", "a3\0", ".", "", "/etc/passwd", "A3", "1.2e+45"])
def test_an_id_that_no_table_lists_is_refused_before_anything_is_drawn(root, tmp_path, bad):
    with pytest.raises(SetiError, match="lists id") as refusal:
        draw(ids=["a3", bad], root=root, out=tmp_path / "figures")
    assert repr(bad) in str(refusal.value)
    assert ("quotes" in str(refusal.value)) == (bad == "1.2e+45")
    assert not (tmp_path / "figures").exists()


def test_an_unknown_id_is_answered_with_similar_ones(root, tmp_path):
    labels = pd.DataFrame({"id": ["0028a35de92941d"], "target": [1]})
    labels.to_csv(root / "train_labels.csv", index=False)
    with pytest.raises(SetiError, match="it lists 0028a35de92941d"):
        draw(ids=["0028"], root=root, out=tmp_path)


def test_show_names_missing_files(root, tmp_path):
    with pytest.raises(SetiError, match="nothing to draw"):
        draw(root=root)
    (root / "train" / "a" / "a3.npy").unlink()
    with pytest.raises(SetiError, match="no such file"):
        draw(ids=["a3"], root=root, out=tmp_path)
    with pytest.raises(SetiError, match="is not a folder"):
        draw(ids=["a3"], root=tmp_path / "nowhere")


def gallery_rows(monkeypatch, run) -> dict[str, list[tuple[str, int | None, float]]]:
    seen = {}
    draw = waterfalls.draw_gallery

    def spy(rows, **settings):
        seen.update({heading: [(c.id, c.label, c.score) for c in row] for heading, row in rows.items()})
        return draw(rows, **settings)

    monkeypatch.setattr(waterfalls, "draw_gallery", spy)
    run()
    return seen


def test_a_gallery_shows_the_highest_scores_and_the_worst_errors(root, experiment, monkeypatch):
    rows = gallery_rows(monkeypatch, lambda: gallery.draw_experiment_gallery(experiment, root))
    best, alarms, missed = rows.values()
    assert [cadence_id for cadence_id, _, _ in best] == ["a19", "a18", "a17", "a16", "a15", "a14"]
    assert alarms == [(f"a{n}", 0, n / 100) for n in (18, 16, 14, 12, 10, 8)]
    assert missed == [(f"a{n}", 1, n / 100) for n in (1, 3, 5, 7, 9, 11)]
    assert (experiment.path / "gallery.png").read_bytes().startswith(PNG)


def test_a_gallery_prefers_the_test_set(root, experiment, monkeypatch, capsys):
    table = pd.DataFrame({"id": [f"b{n}" for n in range(8)], "prob": [0.1, 0.9, 0.9, 0.3, 0.2, 0.8, 0.4, 0.5]})
    table.assign(fold_0=0.5, fold_1=0.5).to_csv(experiment.predictions_path, index=False)
    seal_predictions(experiment.path)
    rows = gallery_rows(monkeypatch, lambda: show.main.__wrapped__(compose("show", f"ckpt_dir={experiment.path}")))
    heading = next(iter(rows))
    assert heading == "Highest scores, test set"
    assert [cadence_id for cadence_id, _, _ in rows[heading]] == ["b1", "b2", "b5", "b7", "b6", "b3"]
    assert capsys.readouterr().out.strip() == str(experiment.path / "gallery.png")


def test_a_gallery_of_another_data_set_is_refused(root, experiment):
    labels = pd.DataFrame({"id": ["c1"], "target": [1]})
    labels.to_csv(root / "train_labels.csv", index=False)
    with pytest.raises(SetiError, match="does not list a19"):
        gallery.draw_experiment_gallery(experiment, root)


def test_the_show_command_accepts_its_keys(root, tmp_path, capsys):
    default = compose("show")
    assert (default.data.root, default.ids, default.ckpt_dir, default.out) == (None, [], None, "figures")
    cfg = compose("show", f"data.root={root}", "ids=[a1]", f"out={tmp_path / 'figures'}")
    show.main.__wrapped__(cfg)
    assert capsys.readouterr().out.strip() == str(tmp_path / "figures" / "a1.png")
    assert (tmp_path / "figures" / "a1.png").exists()
