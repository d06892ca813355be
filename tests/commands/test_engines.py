"""Sweeps over real engines: processes of submitit, a Slurm cluster of one node, and Ray on this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slurm_cluster
from conftest import SMALL, read_json

ROOT = Path(__file__).parents[2]
HANGS = 240
LONG = "trainer.max_epochs=60"  # some seconds: long enough to be met while it trains
LOCAL = ("hydra/launcher=slurm", "hydra.launcher.cluster=local")
SLURM = ("hydra/launcher=slurm", "hydra.launcher.cpus=1", "hydra.launcher.mem_gb=2")
RAY = ("hydra/launcher=ray", "hydra.launcher.total_cpus=2")

pytestmark = pytest.mark.slow


def _alive(lock: Path) -> int | None:
    """Process that holds a lock; None for a file that a killed one has left."""
    try:
        pid = read_json(lock)["pid"]
        os.kill(pid, 0)
    except (OSError, ValueError):  # not there, not whole yet, or its process has ended
        return None
    return pid


class Sweep:
    """A sweep that runs as a person starts it, in a folder of its own."""

    def __init__(self, folder: Path, data: Path, *words: str, **variables: str) -> None:
        self.folder = folder
        self.experiment = folder / "outputs" / "exp"
        command = [sys.executable, "-m", "seti.train", "-m", "fold=0,1", *SMALL, LONG, f"data.root={data}", *words]
        places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self.variables = {**os.environ, "PYTHONPATH": places, **variables}
        self.out, self.err = folder / "sweep.out", folder / "sweep.err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, env=self.variables, stdout=out, stderr=err, start_new_session=True
            )

    def holder(self, fold: int) -> int:
        """Process that trains a fold, once it has finished an epoch."""
        lock, last = (self.experiment / f"fold_{fold}" / name for name in (".lock", "checkpoints/last.ckpt"))
        end = time.monotonic() + HANGS
        while not (last.exists() and (pid := _alive(lock))):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)
        return pid

    def finish(self) -> int:
        """Wait for the end; its exit code."""
        return self.process.wait(HANGS)

    def said(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def ask(self, *words: str) -> str:
        done = subprocess.run(words, env=self.variables, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def rows(self) -> list[bytes]:
        return [(self.experiment / f"fold_{fold}" / "oof.csv").read_bytes() for fold in (0, 1)]

    def is_clean(self) -> bool:
        """No journal is left."""
        return not list((self.folder / "outputs").glob(".seti-sweep-*"))


@pytest.fixture
def sweep(tmp_path, data_root):
    """Start a sweep over two folds; whatever is left of it is ended by its process group."""
    started = []

    def start(*words: str, **variables: str) -> Sweep:
        started.append(Sweep(tmp_path, data_root, *words, **variables))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


@pytest.fixture
def expected(trained_once) -> list[bytes]:
    """Out-of-fold scores of the folds, trained one after the other in this process."""
    return [(trained_once(LONG, f"fold={fold}") / "oof.csv").read_bytes() for fold in (0, 1)]


@pytest.fixture
def cluster(tmp_path):
    """A Slurm cluster of one node with two cores; gives the variables of its commands."""
    missing = slurm_cluster.missing()
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: Debian has them in slurm-wlm and munge")
    folder = tmp_path / "slurm"
    folder.mkdir()
    with slurm_cluster.running(folder) as variables:
        yield variables


def check_killed(killed: Sweep, why: str) -> None:
    """One of two jobs failed, and the other one is finished."""
    assert killed.finish() == 1, killed.said()
    said = killed.err.read_text()
    assert "1 of 2 jobs failed:" in said
    assert f"outputs/exp/fold_0: {why}" in said
    assert "again, just that:\n  python -m seti.train -m fold=0 " in said
    assert "Traceback" not in said
    assert (killed.experiment / "fold_1" / "result.json").exists()
    assert killed.is_clean()


def test_submitit_without_slurm_goes_on_after_a_killed_job(sweep, expected):
    killed = sweep(*LOCAL)
    os.kill(killed.holder(0), signal.SIGKILL)
    check_killed(killed, "it was ended from outside; its log is ")
    again = sweep(*LOCAL)
    assert again.finish() == 0, again.said()
    assert again.rows() == expected


def test_slurm_trains_the_same_folds_and_goes_on_after_what_the_scheduler_does(sweep, cluster, expected):
    killed = sweep(*SLURM, **cluster)
    killed.holder(0)
    (job,) = {line.partition("_")[0] for line in killed.ask("squeue", "-h", "-r", "-o", "%i").split()}
    killed.ask("scancel", f"{job}_0")
    check_killed(killed, "it was cancelled; its log is ")

    preempted = sweep(*SLURM, "exp_name=preempted", **cluster)
    preempted.experiment = preempted.folder / "outputs" / "preempted"
    preempted.holder(0)
    preempted.ask("sbatch", "-p", "urgent", "-c", "2", "-o", "/dev/null", "--wrap", "sleep 3")
    assert preempted.finish() == 0, preempted.said()
    assert preempted.rows() == expected
    assert "Restarts=1" in preempted.ask("scontrol", "show", "job")

    again = sweep(*SLURM, **cluster)
    assert again.finish() == 0, again.said()
    assert again.rows() == expected
    assert again.is_clean()


def test_ctrl_c_cancels_the_jobs_in_the_queue(sweep, cluster):
    stopped = sweep(*SLURM, **cluster)
    stopped.holder(0)
    stopped.process.send_signal(signal.SIGINT)
    assert stopped.finish() == 130, stopped.said()
    end = time.monotonic() + 60
    while stopped.ask("squeue", "-h", "-r").strip():
        assert time.monotonic() < end
        time.sleep(0.5)
    assert stopped.is_clean()


def test_jobs_that_slurm_cannot_start_are_explained(sweep, cluster):
    waiting = sweep(*SLURM, "hydra.launcher.timeout_min=900", **cluster)
    end = time.monotonic() + 60
    while "Slurm says why jobs wait: PartitionTimeLimit" not in waiting.said():
        assert time.monotonic() < end, waiting.said()
        time.sleep(0.2)
    waiting.process.send_signal(signal.SIGTERM)
    assert waiting.finish() == 143
    refused = sweep(*SLURM, "hydra.launcher.partition=nowhere", **cluster)
    assert refused.finish() == 1
    assert "error: Slurm refuses the jobs (" in refused.err.read_text()
    assert "Traceback" not in refused.said()


def test_ray_starts_a_killed_job_again_and_it_goes_on(sweep, expected):
    pytest.importorskip("ray", reason="ray is not installed: the extra ray has it")
    preempted = sweep(*RAY)
    os.kill(preempted.holder(0), signal.SIGKILL)
    assert preempted.finish() == 0, preempted.said()
    assert preempted.rows() == expected
    assert preempted.is_clean()


def test_a_job_that_ray_does_not_start_again_is_reported_and_the_other_goes_on(sweep, expected):
    pytest.importorskip("ray", reason="ray is not installed: the extra ray has it")
    killed = sweep(*RAY, "hydra.launcher.retries=0")
    os.kill(killed.holder(0), signal.SIGKILL)
    check_killed(killed, "its process was killed, perhaps for lack of memory; hydra.launcher.retries says")
    again = sweep(*RAY)
    again.holder(0)
    again.process.send_signal(signal.SIGTERM)  # all jobs save their state
    assert again.finish() == 143, again.said()
    last = sweep(*RAY)
    assert last.finish() == 0, last.said()
    assert last.rows() == expected


def _actors(session: int) -> list[int]:
    """Processes of Ray's actors in a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == session and b"ray::_Actor" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_actors_of_ray_give_the_bytes_of_one_process_also_after_a_kill(tmp_path, data_root, run_command):
    pytest.importorskip("ray", reason="ray is not installed: the extra ray has it")
    words = ("-m", "seti", "predict", "ckpt_dir=pretrained", f"data.root={data_root / 'test'}", "device=cpu")
    assert run_command(*words, "data.batch_size=2", "out=one").code == 0
    command = [sys.executable, *words, "data.batch_size=2", "out=two", "launcher=ray", "ray.actors=2"]
    places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with (tmp_path / "log").open("w") as log:
        options = {"stdout": log, "stderr": log, "start_new_session": True}
        process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": places}, **options)
    end = time.monotonic() + HANGS
    while not (actors := _actors(process.pid)):
        assert process.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(actors[0], signal.SIGKILL)
    assert process.wait(HANGS) == 0, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert (tmp_path / "two" / "predictions.csv").read_bytes() == (tmp_path / "one" / "predictions.csv").read_bytes()
    assert not _actors(process.pid)
