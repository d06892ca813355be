"""Environments and processes in which a fold cannot be trained alone."""

import sys
import threading
from types import SimpleNamespace

import pytest

from seti.config import process_checks
from seti.config.process_checks import check_launch, check_one_process, only_run
from seti.errors import SetiError
from seti.training import fold as training
from seti.training import lr_range
from seti.utils.launchers import Launch, find_launch, meet

OTHERWISE = "for one run, but not as torchrun or srun do: start `"


@pytest.mark.parametrize(
    "several",
    [
        {"WORLD_SIZE": "2"},
        {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"},  # torchrun's first process
        {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "1"},
        {"LOCAL_RANK": "1"},  # a process that Lightning has started for a second device
        {"RANK": "3"},
        {"NODE_RANK": "1"},
        {"SLURM_NTASKS": "2"},
        {"SLURM_NPROCS": "8"},
        {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_PROCID": "0"},
        {"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_NAME": "bash"},  # srun in a shell of Slurm's
        {"SLURM_PROCID": "1"},
        {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"},
        {"PMI_SIZE": "2"},
        {"PMIX_RANK": "1"},
        {"MV2_COMM_WORLD_SIZE": "2"},
        {"MPI_LOCALNRANKS": "2"},
        {"JSM_NAMESPACE_SIZE": "2", "LSB_JOBID": "7"},
        {"PALS_RANKID": "1"},
        {"HOROVOD_SIZE": "2"},
    ],
)
def test_environments_of_several_processes_are_refused(several):
    with pytest.raises(SetiError) as refused:
        check_one_process(several)
    said = str(refused.value)
    name = said.split("=")[0]
    assert said.startswith(f"{name}={several[name]} announces ")
    assert OTHERWISE in said
    assert said.endswith(f"`, with trainer.devices=2 for two devices; unset {name} if it is a leftover")


def test_the_line_names_what_to_do():
    with pytest.raises(SetiError) as refused:
        check_one_process({"WORLD_SIZE": "2"})
    assert str(refused.value) == (
        "WORLD_SIZE=2 announces 2 processes for one run, but not as torchrun or srun do: start `seti train fold=0`, "
        "with trainer.devices=2 for two devices; unset WORLD_SIZE if it is a leftover"
    )
    with pytest.raises(SetiError) as refused:
        check_one_process({"SLURM_NTASKS": "4", "SLURM_PROCID": "2"})
    assert str(refused.value) == (
        "SLURM_NTASKS=4 announces 4 processes for one run, but not as torchrun or srun do: start `srun seti train "
        "fold=0`, with trainer.devices=2 for two devices; unset SLURM_NTASKS if it is a leftover"
    )


@pytest.mark.parametrize(
    "alone",
    [
        {},
        {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": "0"},
        {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"},
        {"SLURM_NTASKS": "5", "SLURM_STEP_NUM_TASKS": "1"},  # one task of a job with room for five
        {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "interactive"},  # a shell in an allocation
        {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "5", "SLURM_CPUS_PER_TASK": "8"},
        {"LSB_DJOB_NUMPROC": "8", "LSB_JOBID": "7"},  # slots are cores
        {"WORLD_SIZE": "", "RANK": "first", "PMI_SIZE": "none"},
        {"CUDA_VISIBLE_DEVICES": "0,1,2,3"},
    ],
)
def test_one_process_trains(alone):
    check_one_process(alone)


def test_a_process_group_of_several_is_refused(monkeypatch):
    group = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True, get_world_size=lambda: 2)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(distributed=group))
    with pytest.raises(SetiError) as refused:
        check_one_process({})
    assert str(refused.value) == (
        "torch.distributed joins 2 processes for one run, but not as torchrun or srun do: call "
        "torch.distributed.destroy_process_group() before"
    )
    group.get_world_size = lambda: 1
    check_one_process({})


TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_RANK": "1",
    "MASTER_ADDR": "first",
    "MASTER_PORT": "29500",
}
SRUN = {
    "SLURM_PROCID": "3",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_NODEID": "1",
    "SLURM_NTASKS": "4",
    "SLURM_JOB_ID": "40",
    "SLURM_STEP_ID": "2",
}


@pytest.mark.parametrize(("name", "environment"), [("torchrun", TORCHRUN), ("srun", SRUN)])
def test_processes_of_torchrun_and_srun_train_one_fold_together_and_no_sweep(name, environment):
    assert find_launch(environment) == Launch(name, rank=3, count=4, local_rank=1, local_count=2, node=1)
    check_launch(sweep=False, environment=environment)
    with pytest.raises(SetiError) as refused:
        check_launch(sweep=True, environment=environment)
    assert str(refused.value) == (
        f"each of the 4 processes that {name} has started would run this whole sweep: leave {name} out, with "
        "trainer.devices=2 for several devices a fold, or start it for each fold"
    )


def test_tasks_of_srun_meet_as_the_processes_of_torchrun_do():
    met = meet(find_launch(SRUN), SRUN)
    assert met == {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "1",
        "MASTER_ADDR": "node07",
        "MASTER_PORT": "15282",
    }
    assert meet(find_launch(TORCHRUN), TORCHRUN) == {}


@pytest.mark.parametrize("missing", ["RANK", "MASTER_ADDR", "MASTER_PORT", "LOCAL_WORLD_SIZE"])
def test_half_of_torchruns_variables_are_refused(missing):
    given = {name: value for name, value in TORCHRUN.items() if name != missing}
    assert find_launch(given) is None
    with pytest.raises(SetiError, match="but not as torchrun or srun do"):
        check_launch(sweep=False, environment=given)


def test_one_process_of_a_launcher_is_none_of_several():
    for environment in (TORCHRUN | {"WORLD_SIZE": "1", "RANK": "0"}, SRUN | {"SLURM_STEP_NUM_TASKS": "1"}):
        assert find_launch(environment) is None


def test_neither_training_nor_a_range_test_starts_in_one_of_several(config, outputs, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for run in (training.train, lambda cfg: lr_range.run(cfg, tmp_path / "job")):
        with pytest.raises(SetiError, match=r"^WORLD_SIZE=2 announces 2 processes"):
            run(config())
    assert not outputs.exists()


def test_a_sweep_is_refused_in_one_of_several(run, small, outputs, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    done = run("train.py", "-m", "fold=0,1", *small)
    assert done.code == 1
    assert done.err.count("error: SLURM_NTASKS=2 announces 2 processes for one run") == 1
    assert "Traceback" not in done.err
    assert not outputs.exists()


@pytest.mark.parametrize(
    "one_task",
    [
        {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "2"},
        {"SLURM_NTASKS": "5", "SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS_PER_NODE": "5"},
        {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "TORCHELASTIC_RUN_ID": "none", "GROUP_RANK": "0"},
        {"LSB_JOBID": "7", "LSB_DJOB_RANKFILE": "/none", "JSM_NAMESPACE_LOCAL_RANK": "0", "JSM_NAMESPACE_SIZE": "1"},
    ],
)
def test_a_launcher_of_one_process_changes_nothing(train, fold, trained_once, monkeypatch, one_task):
    alone = trained_once("trainer.max_epochs=1")
    for name, value in one_task.items():
        monkeypatch.setenv(name, value)
    train("trainer.max_epochs=1")
    assert (fold / "oof.csv").read_bytes() == (alone / "oof.csv").read_bytes()


def test_threads_take_turns_or_are_refused():
    inside, leave, said = threading.Event(), threading.Event(), []

    def first():
        with only_run("training fold 0"):
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(30)
    with pytest.raises(SetiError) as refused, only_run("training fold 1"):
        said.append("ran")
    leave.set()
    thread.join()
    assert not said
    assert str(refused.value) == (
        "training fold 1: this process trains already, in another thread: start a process of its own for each fold"
    )
    with only_run("training fold 1"):  # the first one is done
        said.append("ran")
    assert said == ["ran"]


def test_an_error_ends_the_turn():
    with pytest.raises(ZeroDivisionError), only_run("one"):
        1 / 0  # noqa: B018
    with only_run("another"):
        assert process_checks._running.locked()
