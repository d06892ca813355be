"""Process of one of several devices that train a fold; `several_devices` starts it."""

import logging
import logging.config
import os
import signal
import sys
import threading

from omegaconf import OmegaConf

from seti.training import fold, several_devices, together
from seti.utils import encoding, launchers, malloc, notices, ranks, shutdown
from seti.utils.shutdown import Interrupted


def main() -> None:
    """Train, and leave the result or the error to the process that has started this one."""
    threading.Thread(target=_obey, daemon=True).start()
    logging.raiseExceptions = False  # on a full disk
    malloc.keep_freed_memory()
    encoding.print_any_character()
    launch = launchers.find_launch()
    store = ranks.open_store(launch)
    if launch.rank == 0:
        settings = OmegaConf.to_container(OmegaConf.create(store.get(several_devices.LOGGING).decode()))
        if settings.get("version"):
            logging.config.dictConfig(settings)
    else:
        notices.be_silent()
    code = 0
    try:
        with shutdown.interruptible():
            auc = together.take_part(launch, fold.train_here)
        if launch.rank == 0:
            store.set(several_devices.AUC, repr(auc))
    except Interrupted as ended:
        code = ended.code
    except BaseException:  # said by the process that has started this one
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # what is left of the group could wait for a process that has gone


def _obey() -> None:
    """End by the word of the process that has started this one, or with it."""
    # Not by sys.stdin: a thread that reads it holds its lock, for which forked workers would wait forever.
    while os.read(0, 16):
        os.kill(os.getpid(), signal.SIGTERM)
    os._exit(1)


if __name__ == "__main__":
    main()
