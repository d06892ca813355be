"""One of several processes that train a fold together, whichever launcher has started it."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import distributed

from seti.config.schema import TrainConfig, plain
from seti.errors import SetiError
from seti.training import outcomes
from seti.utils import ranks, shutdown
from seti.utils.launchers import OWN, Launch

RUN = "run"  # key of what is to be trained
ENDED = "ended/{}"  # key of how a process ended that failed
PATIENCE = 5  # s to wait for the word of a process that has gone
LOST = (
    "another process of this run has gone without a word, perhaps killed for lack of memory: the same command goes on "
    "with what is there"
)

DECLINED = b"declined"  # in place of what is to be trained
DECLINING = 60  # s to wait until all others know

Train = Callable[[DictConfig, list[str] | None, Any], float]


def encode(cfg: DictConfig, overrides: list[str] | None, job_folder: Any) -> str:
    """Write as JSON what is to be trained."""
    folder = None if job_folder is None else str(job_folder)
    return json.dumps({"config": plain(cfg), "overrides": overrides, "job_folder": folder})


def decode(text: str) -> tuple[DictConfig, list[str] | None, str | None]:
    """Read what `encode` wrote."""
    given = json.loads(text)
    schema = OmegaConf.structured(TrainConfig)
    OmegaConf.set_struct(schema.trainer, False)  # any argument of Lightning's
    return OmegaConf.merge(schema, given["config"]), given["overrides"], given["job_folder"]


def take_part(launch: Launch, train: Train, run: str | None = None) -> float:
    """Train a fold together with other processes.

    Args:
        launch: this process among them.
        train: trains, with what `decode` returns.
        run: what `encode` returned, in the leader that torchrun or srun has started; None in the others.

    Returns:
        AUC of the held-out fold.

    Raises:
        SetiError: as `train` does, in this process or, where that was the first to fail, in another one.
    """
    shutdown.obey_launcher()
    store = ranks.open_store(launch)
    try:
        if run is not None:
            store.set(RUN, run)
        given = store.get(RUN)
        if given == DECLINED:
            store.add(DECLINED.decode(), 1)
            raise SetiError(LOST)
        cfg, overrides, job_folder = decode(given.decode())
        wanted = str(cfg.trainer.get("accelerator") or "auto")
        ranks.join(launch, store, torch.cuda.is_available() and wanted in ("auto", "gpu", "cuda"))
        auc = train(cfg, overrides, job_folder)
        ranks.leave()
    except BaseException as error:
        with suppress(RuntimeError):  # the store is gone where its process is
            store.set(ENDED.format(launch.rank), outcomes.describe(error))
        if launch.name == OWN or launch.rank or not outcomes.is_lost(error):
            raise
        raise _first_failure(store, launch.count) or SetiError(LOST) from error
    return auc


def decline(launch: Launch) -> None:
    """Tell the others, which wait for the leader, that nothing is trained.

    torchrun ends them with the leader; srun does so only with --kill-on-bad-exit.
    """
    if launch.name != "srun" or ranks.has_met():
        return
    with suppress(RuntimeError):
        store = ranks.open_store(launch)
        store.set(RUN, DECLINED)
        end = time.monotonic() + DECLINING
        while store.add(DECLINED.decode(), 0) < launch.count - 1 and time.monotonic() < end:
            time.sleep(0.1)


def read_failures(store: distributed.Store, count: int) -> dict[int, BaseException | None]:
    """Read how processes ended that failed, by rank; None for those that had lost another one."""
    names = {rank: ENDED.format(rank) for rank in range(count)}
    return {rank: outcomes.restore(store.get(name).decode()) for rank, name in names.items() if store.check([name])}


def _first_failure(store: distributed.Store, count: int) -> BaseException | None:
    """Wait for the word of a process that has failed; None where there is none."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(RuntimeError):
            found = [error for error in read_failures(store, count).values() if error is not None]
            if found:
                return found[0]
        time.sleep(0.1)
    return None
