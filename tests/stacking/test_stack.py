import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import stack_tables
from hydra import compose, initialize_config_dir
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from stack_tables import CADENCES, FOLDS, MODELS
from unit_helpers import assert_ended, seal, seal_predictions

from seti.cli.explain import explain
from seti.config.commands import StackConfig
from seti.errors import SetiError, SettingsError
from seti.evaluation.calibration import CALIBRATE, calibration_error
from seti.experiments.experiment import Experiment
from seti.reports.pages import images
from seti.reports.pages.report import write_stack
from seti.stacking import out_of_fold, stack
from seti.stacking.meta_models import boosted_trees, logistic
from seti.stacking.meta_models.base import Rows

FEW = np.logspace(2, -2, 4)


@pytest.fixture(autouse=True)
def few_values(monkeypatch, blank_figures):
    """Search four values of C in place of fifty, and one size and number of trees; one test searches all C."""
    monkeypatch.setattr(logistic, "C_VALUES", FEW)
    monkeypatch.setattr(boosted_trees, "ROUNDS", (5,))
    monkeypatch.setattr(boosted_trees, "LEAVES", (5,))


@pytest.fixture
def rows() -> pd.DataFrame:
    return stack_tables.oof_rows()


@pytest.fixture
def tables(rows) -> dict[str, pd.DataFrame]:
    return stack_tables.oof_tables(rows)


@pytest.fixture
def test_rows() -> pd.DataFrame:
    return stack_tables.predicted_rows()


def write_experiment(output_dir: Path, name: str, rows: pd.DataFrame, root: Path, folds=range(FOLDS)) -> Path:
    path = output_dir / name
    for fold in folds:
        folder = path / f"fold_{fold}"
        folder.mkdir(parents=True)
        rows[rows["fold"] == fold].to_csv(folder / "oof.csv", index=False)
        result = {
            "fold": fold,
            "n_folds": FOLDS,
            "exp_name": name,
            "scores": {"auc": 0.5, "loss": 0.7},
            "checkpoint": "checkpoints/best.ckpt",
            "data": {"root": str(root), "fingerprint": "f"},
            "config": {},
        }
        (folder / "result.json").write_text(json.dumps(result))
    seal(path)
    return path


def write_predictions(path: Path, ids, probs, folds=range(FOLDS)) -> None:
    predictions = pd.DataFrame({"id": ids, **{f"fold_{fold}": probs for fold in folds}, "prob": probs})
    predictions.to_csv(path / "predictions.csv", index=False)
    seal_predictions(path)


@pytest.fixture
def outputs(tmp_path, tables, test_rows) -> Path:
    """Three finished experiments; only the first has its predictions in the sample submission's order."""
    for number, (name, oof) in enumerate(tables.items()):
        path = write_experiment(tmp_path / "outputs", name, oof, tmp_path / "data")
        shuffled = test_rows if number == 0 else test_rows.sample(frac=1, random_state=number)
        write_predictions(path, shuffled["id"], shuffled[name])
    return tmp_path / "outputs"


def config(outputs: Path, **settings) -> StackConfig:
    return StackConfig(
        output_dir=str(outputs), **{"meta": "logistic", "calibrate": "none", "seed": 0, "n_jobs": 1} | settings
    )


def sklearn_search(features, targets, seed=0, c_values=FEW) -> GridSearchCV:
    return GridSearchCV(
        LogisticRegression(tol=1e-8, max_iter=1000, solver="newton-cholesky"),
        {"C": c_values},
        scoring="roc_auc",
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
    ).fit(features, targets)


@pytest.fixture
def expected(rows, test_rows) -> dict[str, np.ndarray]:
    """Expected stack, from scikit-learn's own grid search on rows joined here."""
    joined = rows.sort_values("id")
    features, targets, folds = joined[list(MODELS)].to_numpy(), joined["target"].to_numpy(), joined["fold"]
    search = sklearn_search(features, targets)
    nested = np.zeros(len(joined))
    for fold in range(FOLDS):
        inside = (folds == fold).to_numpy()
        fitted = sklearn_search(features[~inside], targets[~inside])
        nested[inside] = fitted.predict_proba(features[inside])[:, 1]
    test = search.predict_proba(test_rows[list(MODELS)].to_numpy())[:, 1]
    return {"joined": joined, "search": search, "nested": nested, "test": test}


def test_the_search_equals_scikit_learns_over_fifty_values_from_100_to_a_hundredth(rows, monkeypatch):
    monkeypatch.undo()
    features, targets = rows[list(MODELS)].to_numpy(), rows["target"].to_numpy()
    found = logistic.grid_search(features, targets, seed=5)
    search = sklearn_search(features, targets, seed=5, c_values=np.logspace(2, -2, 50))
    assert len(logistic.C_VALUES) == 50
    assert found.c == pytest.approx(search.best_params_["C"])
    assert found.score == pytest.approx(search.best_score_, abs=1e-9)
    np.testing.assert_allclose(found.model.coef_, search.best_estimator_.coef_, atol=1e-5)


def test_stacking_equals_scikit_learns_grid_search(outputs, rows, test_rows, expected, capsys):
    score = stack.stack(config(outputs))
    joined, search = expected["joined"], expected["search"]
    report = json.loads((outputs / "stack" / "stack.json").read_text())

    model = report["meta_models"]["logistic"]
    assert model["choices"]["c"] == pytest.approx(search.best_params_["C"])
    assert model["search_auc"] == pytest.approx(search.best_score_, abs=1e-9)
    weights = [report["experiments"][name]["weight"] for name in MODELS]
    assert weights == pytest.approx(search.best_estimator_.coef_[0], abs=1e-5)

    oof = pd.read_csv(outputs / "stack" / "oof.csv")
    assert list(oof.columns) == ["id", "fold", "target", "prob"]
    for column in ("id", "fold", "target"):
        assert list(oof[column]) == list(joined[column])
    np.testing.assert_allclose(oof["prob"], expected["nested"], atol=1e-6)
    assert score == report["stack"]["oof_auc"] == pytest.approx(roc_auc_score(joined["target"], oof["prob"]))

    submission = pd.read_csv(outputs / "stack" / "submission.csv")
    assert list(submission.columns) == ["id", "target"]
    assert list(submission["id"]) == list(test_rows["id"])
    np.testing.assert_allclose(submission["target"], expected["test"], atol=1e-6)

    for name in MODELS:
        assert report["experiments"][name]["oof_auc"] == pytest.approx(roc_auc_score(rows["target"], rows[name]))
    assert report["mean"]["oof_auc"] == pytest.approx(roc_auc_score(rows["target"], rows[list(MODELS)].mean(axis=1)))
    ranks = sum(rankdata(rows[name]) for name in MODELS)
    assert report["rank_mean"]["oof_auc"] == pytest.approx(roc_auc_score(rows["target"], ranks))
    held_out = rows[rows["fold"] == 2]
    assert report["experiments"]["beta"]["fold_auc"]["2"] == pytest.approx(
        roc_auc_score(held_out["target"], held_out["beta"])
    )
    assert set(model["nested_choices"]) == {"0", "1", "2", "3"}
    assert "test_auc" not in report["stack"]
    assert "test_auc" not in model

    written = sorted(path.name for path in (outputs / "stack").iterdir())
    assert written == [
        *("correlation.png", "oof.csv", "reliability.png", "roc.png", "stack.json", "submission.csv"),
    ]
    printed = capsys.readouterr().out
    assert "optimistic" in printed
    assert "honest" in printed
    assert str(outputs / "stack" / "submission.csv") in printed


@pytest.mark.parametrize("calibrate", CALIBRATE)
@pytest.mark.parametrize("meta", out_of_fold.META_MODELS)
def test_neither_meta_model_nor_calibrator_sees_the_scored_fold(tables, meta, calibrate):
    """Inverting that fold's targets does not change its predictions."""
    oof = out_of_fold.join_oof(tables)
    targets = np.random.default_rng(3).permutation(oof.targets)
    rows = Rows(oof.probs.to_numpy(), targets, oof.folds)
    inside = oof.folds == 1
    fit = out_of_fold.META_MODELS[meta]
    nested = out_of_fold.nested_probabilities(fit, rows, seed=0, calibrate=calibrate)
    turned = replace(rows, targets=np.where(inside, 1 - targets, targets))
    again = out_of_fold.nested_probabilities(fit, turned, seed=0, calibrate=calibrate)
    for name in ("probs", "calibrated"):
        first, second = getattr(nested, name), getattr(again, name)
        np.testing.assert_array_equal(first[inside], second[inside])
        assert not np.array_equal(first[~inside], second[~inside])


def test_the_same_inputs_give_the_same_bytes_in_any_order_of_rows_and_threads(outputs, tables, tmp_path):
    stack.stack(config(outputs))
    before = {path.name: path.read_bytes() for path in (outputs / "stack").iterdir()}
    for name, rows in tables.items():
        for fold in range(FOLDS):
            part = rows[rows["fold"] == fold].sample(frac=1, random_state=fold + 7)
            part.to_csv(outputs / name / f"fold_{fold}" / "oof.csv", index=False)
        seal(outputs / name)
    settings = config(outputs, experiments=["gamma", "beta", "alpha"])
    settings.n_jobs = 2
    stack.stack(settings)
    assert before == {path.name: path.read_bytes() for path in (outputs / "stack").iterdir()}


def test_known_test_labels_are_scored(outputs, tmp_path, test_rows, expected, capsys):
    root = tmp_path / "data"
    root.mkdir()
    labels = test_rows[["id", "target"]].sort_values("id")
    labels.to_csv(root / "test_labels.csv", index=False)
    stack.stack(config(outputs))
    report = json.loads((outputs / "stack" / "stack.json").read_text())
    truth = test_rows["target"]
    assert report["stack"]["test_auc"] == pytest.approx(roc_auc_score(truth, expected["test"]))
    assert report["mean"]["test_auc"] == pytest.approx(roc_auc_score(truth, test_rows[list(MODELS)].mean(axis=1)))
    ranks = sum(rankdata(test_rows[name]) for name in MODELS)
    assert report["rank_mean"]["test_auc"] == pytest.approx(roc_auc_score(truth, ranks))
    for name in MODELS:
        assert report["experiments"][name]["test_auc"] == pytest.approx(roc_auc_score(truth, test_rows[name]))
    printed = capsys.readouterr().out
    assert "test AUC" in printed
    assert f"{report['stack']['test_auc']:.4f}" in printed

    labels.iloc[1:].to_csv(root / "test_labels.csv", index=False)
    stack.stack(config(outputs))
    assert "no test AUC" in capsys.readouterr().out
    assert "test_auc" not in json.loads((outputs / "stack" / "stack.json").read_text())["stack"]

    labels.assign(target=2).to_csv(root / "test_labels.csv", index=False)
    stack.stack(config(outputs))
    assert f"note: no test AUC: {root / 'test_labels.csv'} has {len(labels)} targets" in capsys.readouterr().out
    assert (outputs / "stack" / "submission.csv").exists()


def test_the_best_honest_score_is_marked(outputs, capsys):
    stack.stack(config(outputs))
    report = json.loads((outputs / "stack" / "stack.json").read_text())
    scores = {name: values["oof_auc"] for name, values in report["experiments"].items()}
    scores |= {"mean": report["mean"]["oof_auc"], "rank mean": report["rank_mean"]["oof_auc"]}
    scores["stack, nested"] = report["stack"]["oof_auc"]
    scores |= {f"{name}, nested": report["meta_models"][name]["oof_auc"] for name in ("hill_climbing", "boosted_trees")}
    lines = [line for line in capsys.readouterr().out.splitlines() if " * " in line and "│" in line]
    marked = [name for name in scores if any(f"│ {name} " in line for line in lines)]
    assert marked == [name for name, score in scores.items() if score == max(scores.values())]


def test_an_experiment_without_predictions_leaves_no_submission(outputs, test_rows, capsys):
    stack.stack(config(outputs))
    (outputs / "beta" / "predictions.csv").unlink()
    # gamma was predicted before its last fold was trained.
    write_predictions(outputs / "gamma", test_rows["id"], test_rows["gamma"], folds=range(FOLDS - 1))
    capsys.readouterr()
    score = stack.stack(config(outputs))
    printed = capsys.readouterr().out
    for name in ("beta", "gamma"):
        command = f"seti predict ckpt_dir={outputs / name}"
        assert f"{name} lacks predictions from all of its folds: {command}\n" in printed
    assert "alpha lacks" not in printed
    assert not (outputs / "stack" / "submission.csv").exists()
    report = json.loads((outputs / "stack" / "stack.json").read_text())
    assert report["without_predictions"] == ["beta", "gamma"]
    assert report["stack"]["oof_auc"] == score
    assert len(pd.read_csv(outputs / "stack" / "oof.csv")) == CADENCES


def test_a_stack_of_one_experiment_ranks_as_it_does(outputs, capsys):
    stack.stack(config(outputs))
    score = stack.stack(config(outputs, experiments=["alpha"]))
    report = json.loads((outputs / "stack" / "stack.json").read_text())
    assert list(report["experiments"]) == ["alpha"]
    assert report["rank_mean"]["oof_auc"] == report["experiments"]["alpha"]["oof_auc"]
    for fold, auc in report["stack"]["fold_auc"].items():
        assert auc == report["experiments"]["alpha"]["fold_auc"][fold]
    assert score == pytest.approx(report["mean"]["oof_auc"], abs=0.01)
    assert "alpha is the only experiment" in capsys.readouterr().out
    assert not (outputs / "stack" / "correlation.png").exists()  # the earlier stack's, of three
    submission = pd.read_csv(outputs / "stack" / "submission.csv")
    predictions = pd.read_csv(outputs / "alpha" / "predictions.csv")
    assert list(submission["target"].rank()) == list(predictions["prob"].rank())


def test_finished_experiments_are_chosen_and_unfinished_ones_reported(outputs, tables, tmp_path, capsys):
    write_experiment(outputs, "delta", tables["alpha"], tmp_path / "data", folds=[0, 2])
    result = outputs / "delta" / "fold_0" / "result.json"
    overrides = ["fold=0", "exp_name=delta", "optimizer.lr=1e-3", "data.image_size=[64,32]"]
    result.write_text(json.dumps(json.loads(result.read_text()) | {"overrides": overrides}))
    chosen = stack.choose_experiments(outputs, None)
    assert [experiment.name for experiment in chosen] == list(MODELS)
    printed = capsys.readouterr().out
    assert "delta: fold 1, 3 not finished" in printed
    command = printed.split("train with ")[1].split()
    assert command[:4] == ["seti", "train", "-m", "fold=1,3"]
    assert {"exp_name=delta", "optimizer.lr=1e-3", "'data.image_size=[64,32]'"} <= set(command)
    with pytest.raises(SetiError, match=r"delta: fold 1, 3 not finished; train with seti train -m fold=1,3"):
        stack.choose_experiments(outputs, ["alpha", "delta"])


def test_experiments_are_chosen_by_name(outputs, tmp_path):
    names = [experiment.name for experiment in stack.choose_experiments(outputs, ["gamma", "alpha", "alpha"])]
    assert names == ["alpha", "gamma"]
    with pytest.raises(SetiError, match="no experiment 'gama': similar names: gamma"):
        stack.choose_experiments(outputs, ["gama"])
    with pytest.raises(SetiError, match="is empty"):
        stack.choose_experiments(outputs, [])
    (outputs / "begun" / "fold_0").mkdir(parents=True)
    with pytest.raises(SetiError, match="begun has no finished fold"):
        stack.choose_experiments(outputs, ["begun"])


def test_without_finished_experiments_the_error_names_the_training_command(tmp_path, tables):
    with pytest.raises(SetiError, match=r"no finished experiment: train one with seti train -m fold=0,1,2,3,4"):
        stack.stack(config(tmp_path / "outputs"))
    write_experiment(tmp_path / "outputs", "begun", tables["alpha"], tmp_path, folds=[1])
    with pytest.raises(SetiError, match=r"no finished experiment; begun: fold 0, 2, 3 not finished; train with"):
        stack.stack(config(tmp_path / "outputs"))
    write_experiment(tmp_path / "outputs", "later", tables["alpha"], tmp_path, folds=[0])
    both = r"experiment; begun: fold 0, 2, 3 not finished; .* exp_name=begun; later: fold 1, 2, 3 not finished; "
    with pytest.raises(SetiError, match=both):
        stack.stack(config(tmp_path / "outputs"))


def test_n_jobs_of_zero_is_refused(outputs):
    settings = config(outputs)
    settings.n_jobs = 0
    with pytest.raises(SetiError, match="n_jobs=0"):
        stack.stack(settings)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"meta": "forest"}, "meta=forest is none of logistic, hill_climbing, boosted_trees"),
        ({"calibrate": "platt"}, "calibrate=platt is none of none, sigmoid, isotonic"),
    ],
)
def test_unknown_choices_are_refused(outputs, setting, message):
    with pytest.raises(SettingsError, match=message):  # a sweep prints no command to try again
        stack.stack(config(outputs, **setting))
    assert not (outputs / "stack").exists()


def read_stack(outputs):
    folder = outputs / "stack"
    names = ("oof.csv", "submission.csv")
    return json.loads((folder / "stack.json").read_text()), *(pd.read_csv(folder / name) for name in names)


def test_the_chosen_meta_model_is_written_and_all_are_scored(outputs, tmp_path, test_rows, capsys):
    root = tmp_path / "data"
    root.mkdir()
    test_rows[["id", "target"]].to_csv(root / "test_labels.csv", index=False)
    scores = {}
    for meta in out_of_fold.META_MODELS:
        assert stack.stack(config(outputs, meta=meta)) == read_stack(outputs)[0]["stack"]["oof_auc"]
        report, oof, submission = read_stack(outputs)
        printed = capsys.readouterr().out
        scores[meta] = report["meta_models"]
        own = report["meta_models"][meta]
        assert report["meta"] == meta
        assert own["oof_auc"] == pytest.approx(roc_auc_score(oof["target"], oof["prob"]), abs=1e-12)
        aucs = [roc_auc_score(rows["target"], rows["prob"]) for _, rows in oof.groupby("fold")]
        assert own["mean_auc"] == pytest.approx(np.mean(aucs), abs=1e-12)
        assert own["test_auc"] == pytest.approx(roc_auc_score(test_rows["target"], submission["target"]), abs=1e-12)
        assert own["calibration_error"] == pytest.approx(calibration_error(oof["target"], oof["prob"]), abs=1e-9)
        assert own["brier"] == pytest.approx(((oof["target"] - oof["prob"]) ** 2).mean(), abs=1e-12)
        curve = report["stack"].pop("reliability")
        assert sum(curve["count"]) == len(oof)
        assert np.average(curve["share"], weights=curve["count"]) == pytest.approx(oof["target"].mean())
        assert {key: own[key] for key in report["stack"]} == report["stack"]
        for other in out_of_fold.META_MODELS:
            assert f"{report['meta_models'][other]['mean_auc']:.4f}" in printed
        has_weights = {"weight" in values for values in report["experiments"].values()}
        assert has_weights == {meta != "boosted_trees"}
    assert scores["logistic"] == scores["hill_climbing"] == scores["boosted_trees"]

    stack.stack(config(outputs, meta="hill_climbing"))
    report, oof, submission = read_stack(outputs)
    weights = [report["experiments"][name]["weight"] for name in MODELS]
    assert sum(weights) == pytest.approx(1)
    np.testing.assert_allclose(submission["target"], test_rows[list(MODELS)] @ weights, atol=1e-12)


@pytest.mark.parametrize("calibrate", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("meta", ["hill_climbing", "boosted_trees"])
def test_calibration_scores_are_printed_before_and_after(outputs, tmp_path, meta, calibrate, capsys):
    stack.stack(config(outputs, meta=meta))
    _, plain_oof, plain = read_stack(outputs)
    capsys.readouterr()
    stack.stack(config(outputs, meta=meta, calibrate=calibrate))
    report, oof, submission = read_stack(outputs)
    printed = capsys.readouterr().out
    before, after = report["meta_models"][meta], report["stack"]
    assert report["calibrate"] == calibrate
    for scores, table in ((before, plain_oof), (after, oof)):
        assert scores["calibration_error"] == pytest.approx(calibration_error(table["target"], table["prob"]), abs=1e-9)
        assert f"calibration error {scores['calibration_error']:.4f}, Brier score {scores['brier']:.4f}" in printed
    assert submission["target"].between(0, 1).all()
    assert oof["prob"].between(0, 1).all()
    # Never against the order of what was calibrated, and of the sigmoid, exactly in it.
    order = plain["target"].argsort()
    assert submission["target"][order].is_monotonic_increasing
    if calibrate == "sigmoid":
        assert after["fold_auc"] == pytest.approx(before["fold_auc"], abs=1e-12)
        assert list(submission["target"].rank()) == list(plain["target"].rank())
    else:
        assert submission["target"].nunique() < plain["target"].nunique()


def test_an_experiment_may_have_the_name_of_a_blend(outputs, tmp_path, test_rows):
    root = tmp_path / "data"
    root.mkdir()
    test_rows[["id", "target"]].to_csv(root / "test_labels.csv", index=False)
    stack.stack(config(outputs))
    before = read_stack(outputs)[0]
    for old, new in zip(MODELS, ("boosted_trees", "mean", "rank_mean"), strict=True):
        (outputs / old).rename(outputs / new)
    stack.stack(config(outputs))
    report = read_stack(outputs)[0]
    for name in ("mean", "rank_mean", "stack", "meta_models"):
        assert report[name] == before[name]
    assert list(report["experiments"].values()) == list(before["experiments"].values())


def test_predictions_of_averaged_ranks_are_blended_as_probabilities(outputs, test_rows):
    """Meta-models learn from probabilities, for any `average` of predict.py."""
    stack.stack(config(outputs))
    before = read_stack(outputs)[2]
    experiment = Experiment(outputs / "beta")
    table = pd.read_csv(experiment.predictions_path)
    table.assign(prob=table["prob"].rank(pct=True)).to_csv(experiment.predictions_path, index=False)
    seal_predictions(experiment.path)
    record = json.loads(experiment.predictions_record.read_text())
    assert record["average"] == "mean"
    experiment.predictions_record.write_text(json.dumps(record | {"average": "rank"}))
    stack.stack(config(outputs))
    np.testing.assert_allclose(read_stack(outputs)[2]["target"], before["target"], rtol=1e-12)


def test_a_damaged_prediction_stops_the_stack_before_anything_is_written(outputs, test_rows):
    write_predictions(outputs / "beta", test_rows["id"].iloc[1:], test_rows["beta"].iloc[1:])
    with pytest.raises(SetiError, match="different test ids"):
        stack.stack(config(outputs))
    assert not (outputs / "stack").exists()


def test_the_stack_command_accepts_its_keys(outputs):
    with initialize_config_dir(str(Path(__file__).parents[2] / "conf"), version_base="1.3"):
        cfg = compose("stack", [f"output_dir={outputs}", "experiments=[alpha,gamma]"])
        default = compose("stack")
    assert (default.output_dir, default.experiments, default.n_jobs) == ("outputs", None, None)
    assert (default.meta, default.calibrate) == ("logistic", "none")
    stack.stack(cfg)
    report = json.loads((outputs / "stack" / "stack.json").read_text())
    assert list(report["experiments"]) == ["alpha", "gamma"]


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (logistic, "grid_search", 1),
        (stack.figures, "save_figure", 2),
        (stack.files, "write_csv", 2),
        (stack.files, "write_json", 1),
    ],
)
def test_a_terminated_stack_leaves_the_old_one_whole(outputs, monkeypatch, capsys, owner, name, call):
    stack.stack(config(outputs))
    before = {path.name: path.read_bytes() for path in (outputs / "stack").iterdir()}
    only = sorted(path.name for path in outputs.iterdir() if path.name != "stack")[:2]
    assert_ended(monkeypatch, owner, name, call, lambda: stack.stack(config(outputs, experiments=only)), capsys)
    assert {path.name: path.read_bytes() for path in (outputs / "stack").iterdir()} == before


def test_a_full_disk_is_reported_with_the_files_final_name(outputs, monkeypatch):
    stack.stack(config(outputs))
    before = {path.name: path.read_bytes() for path in (outputs / "stack").iterdir()}
    (outputs / "stack" / ".roc.another-4194305.part.png").write_text("of a killed run")

    def full(table, path, **_):
        Path(path).write_text("id,")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(OSError, match="No space left") as caught:
        stack.stack(config(outputs))
    assert explain(caught.value) == (
        f"{outputs}/stack/oof.csv: No space left on device; free some space, or write to another folder"
    )
    left = {path.name: path.read_bytes() for path in (outputs / "stack").iterdir()}
    assert left.pop(".roc.another-4194305.part.png")  # from another machine, on which it may still run
    assert left == before


def test_the_page_of_a_stack_holds_its_scores_its_experiments_and_their_correlation(outputs, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(images, "figure_uri", lambda figure: drawn.append(figure) or "data:,")
    stack.stack(config(outputs, report=True))
    page = outputs / "stack" / "report.html"
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {page}: open it in a browser"
    html, (scores, oof, submission) = page.read_text(), read_stack(outputs)
    for name in MODELS:
        assert f"<td>{scores['experiments'][name]['weight']:+.3f}</td>" in html
        assert f">{name}</a></th><td>" in html
    assert f"<td>{scores['stack']['mean_auc']:.4f}</td>" in html
    assert "Spearman&#39;s rank correlation of the scores over" in html
    gallery = json.loads(html.split('id="data">')[1].split("</script>")[0])
    assert gallery["all"] == len(oof) + len(submission)
    shown = {row["id"]: row["score"] for row in gallery["rows"]}
    known = oof.set_index("id")["prob"].to_dict() | submission.set_index("id")["target"].to_dict()
    assert shown == {one: pytest.approx(known[one], abs=1e-6) for one in shown}
    assert gallery["remark"].startswith("no images: ")


def test_a_stack_whose_experiments_are_gone_says_so(outputs, monkeypatch, caplog):
    monkeypatch.setattr(images, "figure_uri", lambda figure: "data:,")
    stack.stack(config(outputs))
    folder = outputs / "stack"
    shutil.rmtree(outputs / "beta")
    write_stack(folder, folder / "report.html", 0)
    assert caplog.messages == [f"{folder} blends beta, which {outputs} no longer has"]
    assert "No longer there, and left out below: beta." in (folder / "report.html").read_text()
    for name in ("alpha", "gamma"):
        shutil.rmtree(outputs / name)
    with pytest.raises(SetiError, match=f"^{folder} blends alpha, beta, gamma, and {outputs} has none of them: "):
        write_stack(folder, folder / "report.html", 0)
    (folder / "stack.json").write_text("{}")
    with pytest.raises(SetiError, match=r"stack.json is damaged: make it again with seti stack output_dir="):
        write_stack(folder, folder / "report.html", 0)
