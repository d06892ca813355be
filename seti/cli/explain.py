"""Errors that the user can fix, described in one line."""

import traceback
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import PurePath

from seti.cli import journal
from seti.errors import SetiError, brief

# torch's errors when a worker cannot hand over a batch: no file can be made, or no page is free.
SHARED_MEMORY_FULL = ("unable to write to file </torch_", "unable to allocate shared memory", "out of shared memory")
SHARED_MEMORY = "unable to open shared memory object"  # no file can be opened; the system's reason follows
TOO_MANY_FILES = ("Too many open files", "received 0 items of ancdata")  # the second is a file that did not arrive
WORKER_DIED = ("is killed by signal", "exited unexpectedly")  # torch's errors when a worker is gone
NO_WORKERS = "make it writable and large enough, or do without worker processes (data.num_workers=0, workers=1)"
NO_TEMPORARY = "No usable temporary directory"  # Python's words


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
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, SetiError):
        return str(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        from seti.cli import hydra_errors

        # OmegaConf wraps what its resolvers raise, and Hydra what an import raises.
        causes = list(_inner(error))
        own = (_explain(cause) for cause in causes if isinstance(cause, SetiError | OSError))
        return next(own, None) or hydra_errors.describe(error, causes)
    if type(error).__module__.split(".")[0] == "yaml":
        return _explain_yaml(error)
    if isinstance(error, UnicodeDecodeError):
        return _explain_encoding(error)
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


def _explain_yaml(error: BaseException) -> str:
    """Name the file and the line of a configuration that is not YAML."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = "a configuration file" if mark is None else f"{mark.name}, line {mark.line + 1}"
    return f"{where}: not YAML ({getattr(error, 'problem', None) or brief(error)}): correct that line"


def _explain_encoding(error: UnicodeDecodeError) -> str | None:
    """Name a configuration file that is not UTF-8; None for other text."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if PurePath(frame.f_code.co_filename).name == "file_config_source.py":  # Hydra's, which leaves out the name
            where = frame.f_locals.get("full_path", "a configuration file")
            return f"{where}: not UTF-8 text: save it with that encoding"
    return None


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
        hidden = error.__suppress_context__ and not type(error).__module__.startswith("omegaconf.")  # hides every one
        error = error.__cause__ or (None if hidden else error.__context__)
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
