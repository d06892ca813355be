import numpy as np
import pytest
import shared_fields
from shared_fields import write_usual

from seti import twins as command
from seti.backgrounds.search import find_twins
from seti.config.compose import compose
from seti.reports import twins as report

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def root(tmp_path):
    return write_usual(tmp_path / "set")


def test_the_command_searches_and_reports(root, capsys, monkeypatch):
    monkeypatch.chdir(root.parent)
    command.main.__wrapped__(compose("twins", f"data.root={root}", "workers=1", "data.n_folds=2"))
    lines = capsys.readouterr().out.splitlines()
    assert "50.0% of the test cadences have a twin in train, 33.3% of train one in test" in lines
    assert any(line.startswith("with a twin in the training folds, of each held-out fold: ") for line in lines)
    assert lines[-1] == "written: set/twins.csv, set/twins.png"
    assert (root / "twins.png").read_bytes().startswith(PNG)
    shown = [line for line in lines if "│" in line]
    assert [line.split("│")[2].strip() for line in shown] == ["8", "5 (62%)", "2", "2, 3", "57%", "3"]


def test_a_set_without_twins_has_no_figure(tmp_path, capsys):
    alone = {name: shared_fields.cut(shared_fields.draw_field(number, 48), 0) for number, name in enumerate("abcd")}
    root = shared_fields.write_set(tmp_path / "set", alone, {})
    (root / "sample_submission.csv").unlink()
    report.report(find_twins(root, workers=1), 2, 0)
    out = capsys.readouterr().out
    assert "No background repeats: random folds are as good as grouped ones (data.groups=none)." in out
    assert not (root / "twins.png").exists()


def test_pairs_are_drawn_on_the_bins_of_the_first(root):
    figure = report.draw_pairs(find_twins(root, workers=1))
    axes = np.array(figure.axes).reshape(-1, 3)
    assert len(axes) == 4  # two groups, an ON and an OFF panel of each
    titles = [axis.get_title() for axis in axes[0]]
    assert titles[0] == "q (train)" or titles[0] == "p (train)"
    assert titles[2].startswith("difference, 0.000")
    one, two, difference = (axis.images[0].get_array().filled(np.nan) for axis in axes[0])
    both = ~(np.isnan(one) | np.isnan(two))
    assert both[0].sum() == 48 - 5
    assert np.abs(difference[both]).max() < 0.05
    assert np.isnan(difference[~both]).all()
    assert axes[0, 0].images[0].get_extent()[0] == -5.5  # q begins five bins before p
