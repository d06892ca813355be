"""Two runs at once in a folder where only one may write: the second is refused and deletes nothing."""

import errno
import fcntl
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from conftest import compose

from seti.config.compose import simulation_settings
from seti.data.pack_writer import pack_split
from seti.errors import SetiError
from seti.inference import predict as prediction
from seti.simulation.dataset import simulate
from seti.stacking import stack
from seti.training import fold as training
from seti.utils import locks


@contextmanager
def held(folder, name=locks.NAME):
    """Hold the lock in another process while the block runs."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with locks.hold(folder, "a test", name):
            os.write(writer, b"1")
            time.sleep(60)
        os._exit(1)
    os.read(reader, 1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def refusal(folder):
    return (
        rf"^{folder} is in use by another run \(a test, process \d+ on .* since 2.*\): wait until it ends, or stop it"
    )


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name[0] != "."}


@pytest.fixture
def experiment(finished, predict, outputs):
    for fold in (0, 1):
        finished("trainer.max_epochs=1", f"fold={fold}")
    predict()
    return outputs / "exp"


def test_only_one_run_at_a_time_predicts_retrains_or_stacks(experiment, train, predict, outputs, monkeypatch):
    monkeypatch.setattr(prediction, "INSTANT", 0)
    monkeypatch.setattr(training, "CLEARING", 0)
    before = contents(outputs)
    with held(experiment):
        with pytest.raises(SetiError, match=refusal(experiment)):
            predict()
        with pytest.raises(SetiError, match=refusal(experiment)):
            train("trainer.max_epochs=1", "force=true")
    assert contents(outputs) == before
    cfg = compose("stack", [f"output_dir={outputs}", "n_jobs=1"])
    (outputs / "stack").mkdir()
    with held(outputs / "stack"), pytest.raises(SetiError, match=refusal(outputs / "stack")):
        stack.stack(cfg)
    assert contents(outputs) == before
    stack.stack(cfg)
    predict()
    train("trainer.max_epochs=1", "force=true")
    assert not list(outputs.rglob(".lock"))


def test_only_one_run_at_a_time_simulates_or_packs(own_data):
    settings = simulation_settings("preset=easy", "positives=0.5", "workers=1", f"root={own_data}", "force=true")
    before = contents(own_data)
    with held(own_data), pytest.raises(SetiError, match=refusal(own_data)):
        simulate(settings)
    packs = own_data / "packed"
    packs.mkdir()
    with held(packs, ".train-A.lock"):
        with pytest.raises(SetiError, match=refusal(packs)):
            pack_split(own_data, "train", "A")
        pack_split(own_data, "test", "A")  # the other split is not locked
    assert contents(own_data).items() >= before.items()
    pack_split(own_data, "train", "A")


def test_a_patient_run_waits_for_the_lock(tmp_path):
    with held(tmp_path):
        child = os.fork()
        if child == 0:
            try:
                with locks.hold(tmp_path, "waits", patience=30):
                    os._exit(3)
            finally:
                os._exit(1)
        time.sleep(0.1)
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_threads_of_one_process_are_kept_apart(tmp_path):
    def second(patience):
        with locks.hold(tmp_path, "second", patience=patience):
            return "held"

    with ThreadPoolExecutor() as threads:
        with locks.hold(tmp_path, "first"):
            with pytest.raises(SetiError) as refused:
                threads.submit(second, 0).result()
            assert str(refused.value) == (
                f"{tmp_path} is in use by another run (another thread of this process): wait until it ends, or stop it "
                "first"
            )
            waiting = threads.submit(second, 30)
            assert not waiting.done()
        assert waiting.result() == "held"


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def no_locks(request, monkeypatch):
    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "lockf", refuse)


def ended_process():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def test_a_claim_excludes_others_where_there_are_no_locks(no_locks, tmp_path):
    with held(tmp_path):
        with pytest.raises(SetiError) as caught, locks.hold(tmp_path, "another"):
            pass
        said = str(caught.value)
        assert said.startswith(f"{tmp_path} may be in use by another run (a test, process ")
        assert said.endswith(
            ", and its file system has no locks to tell: wait until that run ends; if it has ended, delete "
            f"{tmp_path}/.lock.claim"
        )
        assert (tmp_path / ".lock.claim").exists()
    # The other process was killed, and is known to have ended: it ran on this machine.
    with locks.hold(tmp_path, "another"):
        assert json.loads((tmp_path / ".lock.claim").read_text())["doing"] == "another"
    assert list(tmp_path.iterdir()) == []


def test_a_claim_from_another_machine_is_the_users_to_delete(no_locks, tmp_path):
    claim = tmp_path / ".lock.claim"
    content = json.dumps({"pid": ended_process(), "host": "elsewhere", "doing": "training", "since": "2020-02-02"})
    claim.write_text(content)
    said = r"training, process \d+ on elsewhere since 2020-02-02"
    with pytest.raises(SetiError, match=said), locks.hold(tmp_path, "another"):
        pass
    assert claim.read_text() == content
    claim.unlink()
    with locks.hold(tmp_path, "another"):
        pass


def test_locks_and_claims_exclude_each_other(tmp_path, monkeypatch):
    other = json.dumps({"pid": 1, "host": "elsewhere", "doing": "training"})
    (tmp_path / ".lock.claim").write_text(other)
    with pytest.raises(SetiError, match="training, process 1 on elsewhere"), locks.hold(tmp_path, "with a lock"):
        pass
    (tmp_path / ".lock.claim").unlink()
    (tmp_path / ".lock").write_text(other)

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    said = rf"training, process 1 on elsewhere.*delete {tmp_path}/.lock$"
    with pytest.raises(SetiError, match=said), locks.hold(tmp_path, "with a claim"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_claim_being_written_is_respected_for_a_minute(no_locks, tmp_path):
    claim = tmp_path / ".lock.claim"
    claim.touch()
    with pytest.raises(SetiError, match="a run that has just started"), locks.hold(tmp_path, "another"):
        pass
    os.utime(claim, (0, 0))
    with locks.hold(tmp_path, "another"):
        pass


def test_other_errors_of_a_lock_are_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(OSError, match=f"Input/output error: '{tmp_path}/.lock'"), locks.hold(tmp_path, "a test"):
        pass


def test_a_second_run_of_a_fold_is_refused(start, train, small, fold):
    settings = ("trainer.max_epochs=1000", "trainer.limit_train_batches=1")
    first = start("train.py", *small, *settings)
    first.wait_for(fold / "checkpoints" / "last.ckpt")
    held = (fold / "checkpoints").stat().st_ino
    refusal = rf"{fold} is in use by another run \(training fold 0 of exp, process {first.process.pid} on .* since 2"
    for force in ("false", "true"):
        with pytest.raises(SetiError, match=refusal):
            train(*settings, f"force={force}")
    assert (fold / "checkpoints").stat().st_ino == held  # nothing was cleared
    train("fold=1", "trainer.max_epochs=1", "exp_name=other")  # another experiment is not locked
    first.send(signal.SIGKILL)
    first.finish()
    assert (fold / ".lock").exists()
    with locks.hold(fold, "a test"):  # the killed run's file locks nothing
        assert "a test" in (fold / ".lock").read_text()
    assert not (fold / ".lock").exists()
