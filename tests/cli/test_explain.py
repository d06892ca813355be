"""One line for an error that the user can fix, however a library wraps it."""

import errno
import os
from concurrent.futures.process import BrokenProcessPool

import pytest
from conftest import compose
from hydra.errors import HydraException, InstantiationException
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from seti.cli import command_line
from seti.cli.explain import explain, is_wrapped
from seti.errors import SetiError
from seti.utils import files

FILES = "Too many open files; raise the limit of open files (ulimit -n), or lower data.num_workers"


def system_error(number, *name):
    return OSError(number, os.strerror(number), *name)


def raised_while(first, second, cause=False):
    """The second error, raised while the first one is handled, or from it."""
    try:
        try:
            raise first
        except type(first) as error:
            if cause:
                raise second from error
            raise second  # noqa: B904 - as libraries do
    except type(second) as error:
        return error


@pytest.mark.parametrize("cause", [False, True])
@pytest.mark.parametrize(
    ("first", "said"),
    [
        (system_error(errno.EMFILE), FILES),
        (
            system_error(errno.EROFS, "/a"),
            "/a: Read-only file system; the file system is read-only: write to another folder",
        ),
        (SetiError("data.root=x is not a folder"), "data.root=x is not a folder"),
        (RuntimeError("DataLoader worker (pid 5) is killed by signal: Killed."), "a worker process was killed"),
    ],
)
def test_the_cause_counts_not_what_a_library_raised_after_it(first, said, cause):
    error = raised_while(first, RuntimeError("Please call `iter(combined_loader)` first."), cause)
    assert explain(error).startswith(said)
    assert is_wrapped(error)
    again = raised_while(error, KeyError("x"))
    assert explain(again).startswith(said)


def test_a_bug_stays_one_although_a_probe_for_a_file_came_before():
    for first in (FileNotFoundError(errno.ENOENT, "gone", "/a"), KeyError("x"), BlockingIOError()):
        error = raised_while(first, ZeroDivisionError())
        assert explain(error) is None
        assert not is_wrapped(error)
    hidden = ZeroDivisionError()
    hidden.__context__, hidden.__suppress_context__ = system_error(errno.ENOSPC), True
    assert explain(hidden) is None
    loop = ZeroDivisionError()
    loop.__context__ = other = KeyError()
    other.__context__ = loop
    assert explain(loop) is None


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("data.root=${x}", "data.root: there is no setting x, which ${x} stands for"),
        (
            "data.root=${oc.env:NO_SUCH}",
            "data.root: there is no environment variable NO_SUCH: set it, or write "
            "${oc.env:NO_SUCH,<value without it>}",
        ),
        (
            "data.root=a${foo:1}",
            "data.root: there is no ${foo:...}: write ${<setting>} for the value of a setting, or ${oc.env:<NAME>} for "
            "that of an environment variable",
        ),
        ("data.root=${data.root}", "data.root: its ${...} stands for itself: write a value"),
        ("+data.root=d", "data.root has a value already: leave out the +, as in data.root=<value>"),
    ],
)
def test_settings_that_hydra_refuses_are_named_in_our_words(monkeypatch, word, said):
    monkeypatch.delenv("NO_SUCH", raising=False)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of several libraries
        assert compose("check", [word]).data.root
    assert explain(caught.value) == said


def test_help_about_hydra_goes_with_any_setting():
    assert command_line.read("train", ["experiment=demo", "--hydra-help"]) == ["--hydra-help"]


def test_hydras_advice_is_not_repeated():
    message = (
        "Error locating target 'seti.x', set env var HYDRA_FULL_ERROR=1 to see chained exception.\nfull_key: hydra.x"
    )
    assert explain(InstantiationException(message)) == "Error locating target 'seti.x'"
    lost = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/']")
    for error in (lost, raised_while(lost, InstantiationException(message), cause=True)):
        assert explain(error) == "no folder takes temporary files: set the variable TMPDIR to one where you may write"


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.ENOENT])
def test_semaphores_that_cannot_be_made_name_shared_memory(monkeypatch, tmp_path, number):
    from multiprocessing import get_context, synchronize

    def refuse(*_):
        raise system_error(number)

    class Semaphores:
        SemLock = refuse

    monkeypatch.setattr(synchronize, "_multiprocessing", Semaphores)
    said = (
        f"/dev/shm: {os.strerror(number)}; worker processes keep their semaphores there: make it writable and large "
        "enough, or do without worker processes (data.num_workers=0, workers=1)"
    )
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        get_context("fork").Lock()
    assert explain(caught.value) == said
    # As in training, whose folder names errors without a path.
    with pytest.raises(OSError, match=os.strerror(number)) as caught, files.name_in_errors(tmp_path):
        get_context("fork").Lock()
    assert explain(caught.value) == said
    assert explain(raised_while(caught.value, RuntimeError("later"))) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("received 0 items of ancdata"), "too many open files: raise the limit (ulimit -n), or lower"),
        (
            RuntimeError(
                "unable to open shared memory object </torch_1> in read-write mode: Read-only file system (30)"
            ),
            "unable to open shared memory object </torch_1> in read-write mode: Read-only file system (30): worker",
        ),
        (RuntimeError("can't start new thread"), "the system allows no more threads: raise the limit (ulimit -u)"),
        (system_error(errno.EAGAIN), "Resource temporarily unavailable; the system allows no more processes"),
        (MisconfigurationException("`limit` is\nwrong"), "Lightning refuses the trainer settings (`limit` is wrong): "),
        (BrokenProcessPool("A worker was terminated"), "a worker process was killed, perhaps for lack of memory: "),
    ],
)
def test_what_the_machine_or_lightning_refuses_says_what_to_change(error, said):
    assert explain(error).startswith(said)
    assert "\n" not in explain(error)


@pytest.mark.parametrize(
    ("hydras", "own"),
    [
        (
            "Could not append to config. An item is already at 'seed'. Either remove + prefix: 'seed=1'\nOr add ++",
            "seed has a value already: leave out the +, as in seed=<value>",
        ),
        (
            "Multiple values for model. To override a value use 'override model: tiny'",
            "model is chosen already: leave out the +, as in model=<name>",
        ),
        (
            "model appears more than once in the final defaults list",
            "model is chosen twice: give it once, without a +",
        ),
        (
            "Could not delete from config. 'trainer.x' does not exist.",
            "~trainer.x: there is no such setting to remove: leave it out",
        ),
        (
            "Could not override 'experiment'.\nNo match in the defaults list.\nTo append to your default list use +x",
            "experiment is not a group of this configuration: leave out experiment=<name>",
        ),
        (
            "Cannot find primary config 'train'. Check that it's in your config search path.\n\nConfig search path:\n",
            "there is no train.yaml in the folder of configurations: leave out --config-path and --config-name",
        ),
    ],
)
def test_what_hydra_refuses_is_said_in_this_programs_words(hydras, own):
    assert explain(HydraException(hydras)) == own
