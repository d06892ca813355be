"""Rates of progress bars."""

from rich.progress import Progress

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
