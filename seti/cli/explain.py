"""Errors that the user can fix, described in one line."""

import traceback
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from dataclasses import is_dataclass
from pathlib import PurePath

from seti.cli import journal
from seti.errors import SetiError

# torch's errors when a worker cannot hand over a batch: no file can be made, or no page is free.
SHARED_MEMORY_FULL = ("unable to write to file </torch_", "unable to allocate shared memory", "out of shared memory")
SHARED_MEMORY = "unable to open shared memory object"  # no file can be opened; the system's reason follows
TOO_MANY_FILES = ("Too many open files", "received 0 items of ancdata")  # the second is a file that did not arrive
WORKER_DIED = ("is killed by signal", "exited unexpectedly")  # torch's errors when a worker is gone
NO_WORKERS = "make it writable and large enough, or do without worker processes (data.num_workers=0, workers=1)"
NO_TEMPORARY = "No usable temporary directory"  # Python's words
ADVICE = "set env var HYDRA_FULL_ERROR=1"  # Hydra's, in messages that end with a colon or a comma before it


def explain(error: BaseException) -> str | None:
    """Describe in one line an error that the user can fix; None for a bug of the program.

    A library may wrap it in errors of its own, or fail once more while it ends: then the first one counts.
    """
    message = _explain(error)
    return _explain_inner(error) if message is None else message


def is_wrapped(error: BaseException) -> bool:
    """True if `explain` describes an error inside of this one."""
    return _explain(error) is None and _explain_inner(error) is not None


def _explain(error: BaseException) -> str | None:
    from hydra.errors import HydraException
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    if isinstance(error, SetiError):
        return str(error)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is not set: add {error.full_key}=<value> to the command"
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _explain_hydra(error)
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return "a word of the command begins with '=': write <setting>=<value>"  # Hydra takes '=3' for a group's value
    if isinstance(error, OSError):
        return _explain_system(error)
    if isinstance(error, BrokenExecutor):  # joblib's, too
        return (
            "a worker process was killed, perhaps for lack of memory: run fewer at once (in a sweep by "
            "hydra.launcher.n_jobs); the same command goes on with what is there"
        )
    if type(error).__name__ == "MisconfigurationException":  # Lightning's, from wherever it looks at its settings
        return (
            f"Lightning refuses the trainer settings ({' '.join(str(error).split())}): change trainer.*, "
            "or take trainer=auto, which runs on any machine"
        )
    return _explain_torch(str(error)) if isinstance(error, RuntimeError) else None


def _explain_hydra(error: Exception) -> str:
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

    from seti.config.schema import unknown

    # OmegaConf wraps what its resolvers raise, and Hydra what an import raises.
    for inner in _inner(error):
        if isinstance(inner, SetiError):
            return str(inner)
        if isinstance(inner, OSError):
            return _explain_system(inner)
    cause, no_key = error.__cause__, (ConfigAttributeError, ConfigKeyError)
    if isinstance(cause, no_key) and is_dataclass(cause.object_type) and cause.full_key:
        return unknown(cause.full_key, cause.object_type)
    said = str(error)
    if isinstance(error.__cause__, OmegaConfBaseException) and str(error.__cause__) not in said:
        said += f"\n{error.__cause__}"
    said = said.split("Config search path:")[0].split(ADVICE)[0].rstrip(" ,:\n")
    lines = (line.strip().removesuffix(".") for line in said.splitlines())
    return "; ".join(line for line in lines if line and not line.startswith(("full_key:", "object_type=")))


def _explain_system(error: OSError) -> str:
    from seti.utils import files

    if NO_TEMPORARY in str(error):
        return journal.NO_TEMPORARY_FOLDER
    if any(_in_semaphores(link) for link in (error, *_inner(error))):
        return f"/dev/shm: {error.strerror}; worker processes keep their semaphores there: {NO_WORKERS}"
    return files.explain(error)


def _explain_torch(said: str) -> str | None:
    if any(words in said for words in TOO_MANY_FILES):
        return "too many open files: raise the limit (ulimit -n), or lower data.num_workers"
    if any(words in said for words in SHARED_MEMORY_FULL):
        return "the workers' shared memory (/dev/shm) is full: lower data.num_workers or data.batch_size, or enlarge it"
    if SHARED_MEMORY in said:
        return f"{' '.join(said.split())}: worker processes hand over batches in /dev/shm: {NO_WORKERS}"
    if any(words in said for words in WORKER_DIED):
        return (
            "a worker process was killed, perhaps for lack of memory: lower data.num_workers or data.batch_size; "
            "the same command goes on with what is there"
        )
    if "can't start new thread" in said:
        return "the system allows no more threads: raise the limit (ulimit -u), or lower data.num_workers and threads"
    return None


def _explain_inner(error: BaseException) -> str | None:
    from seti.utils import files

    for inner in _inner(error):
        # Of system errors those that are never a program's probe, such as one for a file that need not exist.
        if not isinstance(inner, OSError) or inner.errno in files.FIXES or _in_semaphores(inner):
            message = _explain(inner)
            if message is not None:
                return message
    return None


def _inner(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors from which an error came, the nearest first."""
    seen = {id(error)}
    while True:
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if error is None or id(error) in seen:
            return
        seen.add(id(error))
        yield error


def _in_semaphores(error: BaseException) -> bool:
    """True for a system error of multiprocessing's semaphores, which are files in /dev/shm."""
    if not isinstance(error, OSError):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return any(PurePath(frame.filename).parts[-2:] == ("multiprocessing", "synchronize.py") for frame in frames)
