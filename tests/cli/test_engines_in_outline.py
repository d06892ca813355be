"""Engines of sweeps by parts; `commands/test_engines.py` runs real ones."""

import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from conftest import compose

from seti.cli import journal, launchers, ray_jobs, slurm_jobs, watch
from seti.cli.launchers import OWN
from seti.cli.sweep_report import OWN as OWN_BY_NAME
from seti.config import arguments, instantiation_guard
from seti.errors import SetiError
from seti.utils import extras, ray_cluster


@pytest.fixture
def written(tmp_path, monkeypatch):
    """An open journal in a shared folder, as an engine's sweep has it."""
    monkeypatch.setenv(journal.VARIABLE, "")
    journal.open_journal(tmp_path / "outputs")
    return tmp_path / "outputs"


def answer(monkeypatch, *, code=0, out="", err=""):
    asked = []

    def ask(*words):
        asked.append(words)
        return subprocess.CompletedProcess(words, code, out, err)

    monkeypatch.setattr(slurm_jobs, "_ask", ask)
    return asked


def test_a_journal_keeps_a_file_a_job_and_the_last_start_counts(written):
    journal.note(3, folder="b", overrides=["fold=1"], fresh=True)
    journal.note(10, folder="c", overrides=[])
    journal.note(3, folder="b", overrides=["fold=1"])  # preempted, and started again on another machine
    journal.note(3, ended=True)
    assert len(list(next(written.iterdir()).iterdir())) == 2
    assert journal.is_noted(3)
    assert not journal.is_noted(4)
    jobs = journal.close()
    assert [(number, str(job.folder), job.ended, job.fresh) for number, job in jobs.items()] == [
        (3, "b", True, False),
        (10, "c", False, False),
    ]
    assert list(written.iterdir()) == []
    assert not journal.is_open()


def test_a_job_of_ray_is_interrupted_once_its_sweep_is_stopping(written, monkeypatch):
    monkeypatch.setattr(watch, "LOOK", 0.01)

    def job(*_):
        journal.stop()
        time.sleep(10)

    job.journal = str(next(written.iterdir()))
    with pytest.raises(KeyboardInterrupt):
        ray_jobs._run_job(job, [], 0)
    assert math.isnan(ray_jobs._run_job(job, [], 1))  # one that had waited until then


def test_a_job_ends_once_the_command_of_its_sweep_has_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "LOOK", 0.01)
    assert not journal.is_orphaned()
    monkeypatch.setenv(journal.VARIABLE, "")
    monkeypatch.setenv(journal.PARENT, "")
    journal.open_journal(tmp_path)  # of an engine with machines of its own
    assert not journal.is_orphaned()
    journal.open_journal()
    assert not journal.is_orphaned()  # in the process of the command itself
    monkeypatch.setenv(journal.PARENT, str(os.getppid()))
    assert not journal.is_orphaned()
    ended = []
    monkeypatch.setattr(watch._Worker, "is_watched", False)
    monkeypatch.setattr(watch.signal, "SIGTERM", signal.SIGINT)  # raises here
    monkeypatch.setattr(watch.os, "_exit", ended.append)

    def job():
        with watch.ending_with_command():
            monkeypatch.setenv(journal.PARENT, "999999999")
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        job()
    assert ended == [1]
    watch._end_with_command()  # a worker that waits for a job
    assert ended == [1, 1]
    journal.discard()
    assert not journal.is_orphaned()


def test_a_line_that_was_half_written_is_left_out(written):
    journal.note(0, folder="a", overrides=[])
    with next(written.iterdir()).joinpath("0.jsonl").open("a") as stream:
        stream.write('{"ended": tr')
    assert not journal.close()[0].ended


@pytest.mark.parametrize("launcher", ["slurm", "ray"])
@pytest.mark.parametrize("command", ["train", "predict", "twins", "tune"])
def test_presets_compose_for_every_command_and_are_allowed(launcher, command):
    instantiation_guard.check_targets(compose(command, [f"hydra/launcher={launcher}"]))
    assert OWN == OWN_BY_NAME


@pytest.mark.parametrize(("launcher", "module", "extra"), [("ray", "ray", "ray"), ("slurm", "submitit", "sweep")])
def test_an_engine_that_is_not_installed_names_the_extra(monkeypatch, launcher, module, extra):
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == module else 1)
    with pytest.raises(SetiError) as refused:
        arguments.to_hydra("train", [f"hydra/launcher={launcher}"], sweep=True)
    assert str(refused.value) == (
        f"hydra/launcher={launcher} needs the extra {extra!r}, which is not installed: pip install 'seti[{extra}]'"
    )


def test_a_scheduler_that_is_away_is_one_line(monkeypatch):
    monkeypatch.setattr(slurm_jobs.shutil, "which", lambda _: None)
    with pytest.raises(
        SetiError, match="hydra/launcher=slurm: there is no sbatch on this machine: start the command on a"
    ):
        slurm_jobs.check_scheduler("slurm")
    slurm_jobs.check_scheduler("local")
    monkeypatch.setattr(slurm_jobs.shutil, "which", lambda _: "/usr/bin/sbatch")
    answer(monkeypatch, code=1, err="slurm_load_partitions: Unable to contact slurm controller (connect failure)\n")
    with pytest.raises(SetiError) as refused:
        slurm_jobs.check_scheduler("slurm")
    assert str(refused.value) == (
        "hydra/launcher=slurm: Slurm's controller does not answer (slurm_load_partitions: Unable to contact slurm "
        "controller (connect failure)): try again later"
    )
    answer(
        monkeypatch,
        code=1,
        err="sinfo: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\n"
        "sinfo: fatal: Could not establish a configuration source\n",
    )
    with pytest.raises(SetiError) as refused:
        slurm_jobs.check_scheduler("slurm")
    assert str(refused.value) == (
        "hydra/launcher=slurm: this machine is not part of a Slurm cluster (sinfo: fatal: Could not establish a "
        "configuration source): start the command on a login node of one, or try it here with "
        "hydra.launcher.cluster=local"
    )
    with pytest.raises(SetiError, match=r"hydra\.launcher\.cluster=moon is none of slurm, local"):
        slurm_jobs.check_scheduler("moon")


def test_jobs_in_the_queue_and_reasons_to_wait(monkeypatch, caplog):
    jobs = [SimpleNamespace(job_id=f"7_{number}") for number in range(3)]
    asked = answer(monkeypatch, out="7_0|R|None\n7_1|PD|PartitionTimeLimit\n7_2|PD|Priority\n")
    queue = slurm_jobs._Queue(jobs, "slurm")
    assert queue.listed() == queue.listed() == {"7_0", "7_1", "7_2"}
    assert asked[0][:5] == ("squeue", "-h", "-r", "-j", "7")
    assert [record.message for record in caplog.records] == [
        "Slurm says why jobs wait: PartitionTimeLimit; see hydra.launcher, or squeue --start"
    ]
    answer(monkeypatch, code=1, err="slurm_load_jobs error: Invalid job id specified")
    assert queue.listed() == set()  # all have ended, and Slurm has forgotten them
    answer(monkeypatch, code=1, err="Unable to contact slurm controller")
    assert queue.listed() is None


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            "TIMEOUT",
            "its time was over: raise hydra.launcher.timeout_min, or hydra.launcher.requeues; its log is x.err",
        ),
        ("OUT_OF_MEMORY", "it needed more memory than it had asked for: raise hydra.launcher.mem_gb; its log is x.err"),
        ("BOOT_FAIL", "it was ended from outside, in state BOOT_FAIL; its log is x.err"),
    ],
)
def test_reasons_of_the_scheduler(monkeypatch, state, said):
    answer(monkeypatch, out=f"JobId=7 JobName=train JobState={state} Reason=None\n")
    one = SimpleNamespace(job_id="7_0", paths=SimpleNamespace(stderr="x.err"))
    assert slurm_jobs._reason(one, "slurm") == said


@pytest.mark.parametrize(("state", "again"), [("RUNNING", True), ("CANCELLED", False), ("TIMEOUT", False)])
def test_a_preempted_job_is_queued_again_and_a_cancelled_one_is_not(monkeypatch, state, again):
    asked = answer(monkeypatch, out=f"JobState={state}")
    monkeypatch.setenv("SLURM_JOB_ID", "12")

    def stopped(*_):
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        slurm_jobs.SlurmJob(stopped)([], 0, "name")
    assert (("scontrol", "requeue", "12") in asked) == again


def test_a_ray_cluster_that_is_away_is_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for typed in (address, f"ray://{address}"):
            with pytest.raises(SetiError) as refused:
                ray_cluster._start(None, typed, None, "ray", False)
            assert str(refused.value) == (
                f"ray.address={typed}: no Ray cluster answers at {typed} ([Errno 111] Connection refused): `ray start "
                "--head` starts a cluster, and ray.address=null uses this machine alone"
            )


@pytest.mark.parametrize(("section", "setting"), [("ray", "launcher=ray"), ("hydra.launcher", "hydra/launcher=ray")])
def test_a_ray_that_is_damaged_is_one_line(tmp_path, monkeypatch, section, setting):
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    (tmp_path / "ray.py").write_text("raise ImportError('libray.so: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ray_cluster.ENVIRONMENT:
        monkeypatch.setenv(name, "0")
    with pytest.raises(SetiError) as refused, ray_cluster.joined(None, 1, section, print_logs=False):
        pass
    assert str(refused.value) == (
        f"{setting} needs the package ray, which is installed and cannot be imported (ImportError: libray.so: cannot "
        "open shared object file): pip install --force-reinstall ray"
    )


def test_gpus_are_asked_for_where_there_are_any(monkeypatch):
    answer(monkeypatch, out="(null)\n")
    assert slurm_jobs._gpus("auto", "slurm") is None
    answer(monkeypatch, out="gpu:a100:4(S:0-1)\n")
    assert slurm_jobs._gpus("auto", "slurm") == 1
    assert slurm_jobs._gpus(2, "slurm") == 2
    assert slurm_jobs._gpus(0, "slurm") is None
    settings = {"cpus": 2, "gpus": "auto"}
    assert ray_cluster.resources({"CPU": 8.0}, settings, "ray") == ({"num_cpus": 2, "num_gpus": 0}, 4)
    assert ray_cluster.resources({"CPU": 8.0, "GPU": 2.0}, settings, "ray") == ({"num_cpus": 2, "num_gpus": 1}, 2)
    assert ray_cluster.resources({"CPU": 8.0, "GPU": 1.0}, {"cpus": 1, "gpus": 0.5}, "ray")[1] == 2
    with pytest.raises(SetiError) as refused:
        ray_cluster.resources({"CPU": 1.0}, settings, "hydra.launcher")
    assert str(refused.value) == (
        "hydra.launcher.cpus=2 for each job, and Ray has 1 CPUs in all: set hydra.launcher.cpus to what one machine has"
    )


class Printer:
    """Ray's dispatcher of the lines that its processes print."""

    def __init__(self):
        self.handlers = {}

    def add_handler(self, name, handler):
        self.handlers[name] = handler

    def remove_handler(self, name):
        del self.handlers[name]


class TaskRay:
    """Ray for tasks, in this process: what they print comes `delay` seconds after they have ended."""

    exceptions = SimpleNamespace(RayError=RuntimeError)

    def __init__(self, delay):
        self.delay, self.printed = delay, []
        self.printer = Printer()
        self._private = SimpleNamespace(ray_logging=SimpleNamespace(global_worker_stdstream_dispatcher=self.printer))

    def cluster_resources(self):
        return {"CPU": 2.0}

    def put(self, value):
        return value

    def remote(self, run):
        task = SimpleNamespace(remote=lambda *arguments: (run, *map(_Hashable, arguments)))
        return SimpleNamespace(options=lambda **_: task)

    def wait(self, tasks, **_):
        return tasks[:1], tasks[1:]

    def get(self, task):
        run, *arguments = task
        value = run(*(one.value for one in arguments))
        threading.Timer(self.delay, self._print, [arguments[-1].value]).start()
        return value

    def _print(self, number):
        self.printed.append(number)
        for handler in self.printer.handlers.values():
            handler({"lines": [f"fold {number} is finished", f"#{number} has ended"]})


class _Hashable:
    def __init__(self, value):
        self.value = value


@pytest.mark.parametrize(("delay", "printed"), [(0.15, [0, 1]), (5.0, [])])
def test_a_sweep_by_ray_ends_once_the_last_lines_of_its_jobs_are_printed(written, monkeypatch, delay, printed):
    monkeypatch.setattr(ray_cluster, "DELAY", 2.0 if printed else 0.1)  # s; it does not wait for ever

    def job(overrides, number, name):
        return number

    job.journal = str(next(written.iterdir()))
    monkeypatch.setattr(ray_jobs.RemoteJob, "of", lambda _: job)
    ray = TaskRay(delay)
    launcher = SimpleNamespace(settings={"cpus": 1, "gpus": 0, "retries": 0})
    done = ray_jobs._run(ray, launcher, [["fold=0"], ["fold=1"]], 0)
    assert [one.return_value for one in done] == [0, 1]
    assert sorted(ray.printed) == printed
    assert ray.printer.handlers == {}


@pytest.mark.parametrize(
    ("arguments", "jobs", "said"),
    [
        ("n_jobs=2,backend=loky,prefer=processes,verbose=0", 5, "joblib runs 5 jobs, 2 at a time"),
        ("n_jobs=8,backend=loky", 3, "joblib runs 3 jobs, 3 at a time"),
        ("backend=loky,n_jobs=None", 3, "joblib runs 3 jobs, 1 at a time"),
    ],
)
def test_joblib_announces_its_jobs_as_other_engines_do(caplog, arguments, jobs, said):
    launchers.register()
    launchers.register()
    with caplog.at_level(logging.INFO):
        log = logging.getLogger(launchers.JOBLIB)
        log.info(f"Joblib.Parallel({arguments}) is launching {jobs} jobs")
        log.info("Launching jobs, sweep output dir : outputs")
        log.info("\t#0 : fold=0")
    assert [record.getMessage() for record in caplog.records] == [said, "\t#0 : fold=0"]


def test_the_logger_of_joblibs_launcher_has_that_name():
    assert pytest.importorskip("hydra_plugins.hydra_joblib_launcher._core").log.name == launchers.JOBLIB
