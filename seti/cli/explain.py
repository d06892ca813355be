"""Errors that the user can fix, described in one line."""

from dataclasses import is_dataclass

from seti.errors import SetiError

# torch's errors when a worker cannot hand over a batch: no file can be made, or no page is free.
SHARED_MEMORY_FULL = ("unable to write to file </torch_", "unable to allocate shared memory", "out of shared memory")
WORKER_DIED = ("is killed by signal", "exited unexpectedly")  # torch's errors when a worker is gone


def explain(error: BaseException) -> str | None:
    """Describe in one line an error that the user can fix; None for a bug of the program."""
    from hydra.errors import HydraException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

    from seti.config.schema import unknown
    from seti.utils import files

    if isinstance(error, SetiError):
        return str(error)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is not set: add {error.full_key}=<value> to the command"
    if isinstance(error, HydraException | OmegaConfBaseException):
        # OmegaConf wraps what its resolvers raise.
        cause = error.__cause__ or error.__context__
        while cause is not None:
            if isinstance(cause, SetiError):
                return str(cause)
            cause = cause.__cause__ or cause.__context__
        cause, no_key = error.__cause__, (ConfigAttributeError, ConfigKeyError)
        if isinstance(cause, no_key) and is_dataclass(cause.object_type) and cause.full_key:
            return unknown(cause.full_key, cause.object_type)
        said = str(error)
        if isinstance(error.__cause__, OmegaConfBaseException) and str(error.__cause__) not in said:
            said += f"\n{error.__cause__}"
        said = said.split("Config search path:")[0]
        lines = (line.strip().removesuffix(".") for line in said.splitlines())
        return "; ".join(line for line in lines if line and not line.startswith(("full_key:", "object_type=")))
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return "a word of the command begins with '=': write <setting>=<value>"  # Hydra takes '=3' for a group's value
    if isinstance(error, OSError):
        return files.explain(error)
    if isinstance(error, RuntimeError) and any(words in str(error) for words in SHARED_MEMORY_FULL):
        return "the workers' shared memory (/dev/shm) is full: lower data.num_workers or data.batch_size, or enlarge it"
    if isinstance(error, RuntimeError) and any(words in str(error) for words in WORKER_DIED):
        return (
            "a worker process was killed, perhaps for lack of memory: lower data.num_workers or data.batch_size; "
            "the same command goes on with what is there"
        )
    return None
