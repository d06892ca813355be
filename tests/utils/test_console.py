"""Rates of progress bars."""

import pytest
from rich.progress import Progress

from seti.errors import SetiError
from seti.utils import console


def final_rate(steps, completed=0):
    """The rate that a bar of 10 cadences ends with, after steps of (time in seconds, cadences)."""
    now = 0.0
    progress = Progress(get_time=lambda: now)
    task = progress.add_task("", total=10, completed=completed, before=completed)
    for now, count in steps:  # noqa: B007 - the clock reads it
        progress.advance(task, count)
    return console._RateColumn().render(progress.tasks[0]).plain


def test_the_rate_of_a_finished_bar_is_that_of_the_whole():
    # One after the other, though parts came in together at the end.
    assert final_rate([(19.0, 4), (19.9999, 3), (20.0, 3)]) == "0.5 cadences/s"
    assert final_rate([(0.5, 10)]) == "20 cadences/s"
    assert final_rate([(2.0, 2), (4.0, 2)], completed=6) == "1 cadences/s"


def test_a_bar_that_took_no_time_has_no_rate():
    assert final_rate([(0.0, 10)]) == ""


@pytest.mark.parametrize(("done", "kept"), [(0, False), (1, True)])
def test_an_error_leaves_no_bar_of_work_that_had_not_begun(capsys, done, kept):
    with pytest.raises(SetiError), console.cadence_progress() as progress:  # noqa: PT012 - the bar and the error
        progress.advance(progress.add_task("scoring", total=3), done)
        raise SetiError("stop")
    assert ("scoring" in capsys.readouterr().out) == kept


def test_bars_can_be_left_out_of_a_block(capsys):
    with console.progress_bars(False), console.item_progress("things") as progress:
        progress.advance(progress.add_task("quiet", total=1))
    with console.item_progress("things") as progress:
        progress.advance(progress.add_task("loud", total=1))
    printed = capsys.readouterr().out
    assert "loud" in printed
    assert "quiet" not in printed
