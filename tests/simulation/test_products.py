"""Summary of a simulated product, and the command that goes on with it."""

import dataclasses

import pytest

from seti.config.compose import simulation_settings
from seti.simulation.products import make


@pytest.mark.parametrize(
    ("train", "command", "words"),
    [
        (10, "train", ("-m", "fold=0,1,2,3,4", "experiment=best_cpu")),
        (4, "train", ("-m", "fold=0,1", "experiment=best_cpu", "data.n_folds=2")),
        (7, "train", ("-m", "fold=0,1,2", "experiment=best_cpu", "data.n_folds=3")),
        (2, "check", ()),
        (0, "check", ()),
    ],
)
def test_the_next_command_fits_a_laptop(tmp_path, train, command, words):
    settings = simulation_settings("preset=easy", "workers=1", f"root={tmp_path / 'set'}")
    made = make(dataclasses.replace(settings, train=train, test=2, positives=0.5))
    assert made.command == command
    assert made.words == (*words, f"data.root={tmp_path / 'set'}")
    note = "; training needs two cadences of each class" if train == 2 else ""
    assert made.summary.endswith(f", {(train + 2) * 0.838784:.1f} MB{note}")


def test_without_sizes_a_set_is_small():
    settings = simulation_settings()
    assert (settings.train, settings.test) == (200, 50)
