"""A small simulated data set, configurations for it, and ways to run the programs on it."""

import copy
import functools
import gc
import io
import json
import multiprocessing
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read as torch is imported: one thread for each of xdist's workers
os.environ["HF_HUB_OFFLINE"] = "1"  # no test fetches anything: a try fails at once

import joblib
import pytest

os.fsync = lambda handle: None  # a test's files need not survive a power failure, and each flush waits for the disk

ROOT = Path(__file__).parents[1]
TRAIN, TEST = 40, 12

# A network, images and epochs of no use but to run through everything in half a second.
SMALL = (
    "model=tiny",
    "trainer=cpu",
    "threads=1",
    "trainer.precision=32",
    "trainer.max_epochs=2",
    "data.n_folds=2",
    "data.image_size=[24,32]",
    "data.batch_size=8",
    "data.num_workers=0",
    "exp_name=exp",
)


MAX_WORKERS = 8  # of xdist: about 1.5 GB each, with the programs that it runs
HANGS = 300  # s after which a program is taken to hang; long, for the machine may be busy with other work


@pytest.hookimpl(optionalhook=True)  # tests run without xdist as well
def pytest_xdist_auto_num_workers() -> int:
    """Count the cores that this process may use: xdist's own count with psutil ignores affinity and cgroups."""
    return min(joblib.cpu_count(), MAX_WORKERS)


def pytest_collection_finish() -> None:
    """Take everything imported so far out of garbage collections.

    Training a fold begins with a full collection, which would take longer than the small experiment's training.
    """
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the interpreter clear up as usual: libraries in C++ complain about what is left."""
    gc.unfreeze()


@dataclass(frozen=True)
class Finished:
    """How a program ended and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def data_root(tmp_path_factory) -> Path:
    """A data set in the competition's layout: half of the cadences hold a needle. Shared: not to be changed."""
    from seti.config.compose import simulation_settings
    from seti.simulation.dataset import simulate

    root = tmp_path_factory.mktemp("simulated") / "data"
    sizes = (f"train={TRAIN}", f"test={TEST}")
    return simulate(simulation_settings("preset=easy", "positives=0.5", "workers=1", f"root={root}", *sizes))


@pytest.fixture
def own_data(data_root, tmp_path) -> Path:
    """A copy of the data set whose files a test may change or remove: of links, so one is replaced, not edited."""
    root = tmp_path / "own_data"
    for path in data_root.rglob("*"):
        if path.is_file():
            copy = root / path.relative_to(data_root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".npy":
                os.link(path, copy)
            else:
                copy.write_bytes(path.read_bytes())
    return root


@pytest.fixture
def outputs(tmp_path) -> Path:
    """The folder of experiments."""
    return tmp_path / "outputs"


@pytest.fixture
def fold(outputs) -> Path:
    """The folder of the small experiment's first fold."""
    return outputs / "exp" / "fold_0"


@pytest.fixture
def small(data_root, outputs) -> list[str]:
    """Overrides as the command line takes them: half a second a fold."""
    return [*SMALL, f"data.root={data_root}", f"output_dir={outputs}"]


PLACE = re.compile(r"(data\.root|output_dir|ckpt_dir)=(/[\w./-]+)")  # settings that differ from test to test


def compose(name: str, overrides: list[str]):
    """Compose one of the configurations as the programs do; once for those that differ in their folders alone."""
    from omegaconf import OmegaConf

    others = {word.partition("=")[0] for word in overrides if not PLACE.fullmatch(word)}
    places, words = {}, []
    for word in overrides:
        key, _, value = word.partition("=")
        if PLACE.fullmatch(word) and key not in others:
            places[key] = value
            word = f"{key}=/"
        words.append(word)
    composed = _composed(Path.cwd(), name, *words)  # a file of the current folder may be what a value names
    composed = copy.deepcopy(composed)
    for key, value in places.items():
        OmegaConf.update(composed, key, value)
    return composed


@functools.cache
def _composed(_: Path, name: str, *overrides: str):
    from seti.config.compose import compose  # registers the schemas too, whichever test comes first

    return compose(name, *overrides)


@pytest.fixture
def config(small) -> Callable:
    """Compose `conf/train.yaml` for the small data set, with more overrides behind."""
    return lambda *overrides: compose("train", [*small, *overrides])


@pytest.fixture
def train(config) -> Callable:
    """Train a fold in this process; gives its AUC."""
    from seti.training import fold as training

    return lambda *overrides: training.train(config(*overrides))


@pytest.fixture(scope="session")
def trained_once(data_root, tmp_path_factory) -> Callable:
    """Train a fold once a session for each set of overrides; gives its folder, which is shared: not to be changed."""
    folders = {}

    def folder_of(*overrides: str) -> Path:
        if overrides not in folders:
            from seti.training import fold as training

            outputs = tmp_path_factory.mktemp("trained")
            training.train(compose("train", [*SMALL, f"data.root={data_root}", f"output_dir={outputs}", *overrides]))
            (folders[overrides],) = outputs.glob("*/fold_*")
        return folders[overrides]

    return folder_of


@pytest.fixture
def finished(outputs, trained_once) -> Callable:
    """Bring about what `train` leaves in `outputs`, by copying a fold that the session has trained; gives its AUC."""

    def copy(*overrides: str) -> float:
        folder = trained_once(*overrides)
        copied = outputs / folder.parent.name / folder.name
        shutil.copytree(folder, copied)
        return read_json(copied / "result.json")["scores"]["auc"]

    return copy


@pytest.fixture
def blank_figures(monkeypatch) -> None:
    """Write a PNG's first bytes as the file of each figure, undrawn: drawing takes the most time."""
    from matplotlib.figure import Figure

    draw = Figure.savefig

    def save(figure: Figure, place: object, **options: object) -> None:
        if isinstance(place, Path):
            place.write_bytes(b"\x89PNG\r\n")
        else:  # a page's image
            draw(figure, place, **options)

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture
def predict(outputs, monkeypatch, blank_figures) -> Callable:
    """Predict in this process, with a gallery of one cadence a row and without drawing it; gives the test AUC."""
    from seti.inference import predict as prediction
    from seti.reports import gallery

    monkeypatch.setattr(gallery, "GALLERY_COUNT", 1)

    settings = ["device=cpu", "precision=32", "data.num_workers=0"]

    def run(*overrides: str) -> float:
        return prediction.predict(compose("predict", [f"ckpt_dir={outputs / 'exp'}", *settings, *overrides]))

    return run


@pytest.fixture
def small_searches(monkeypatch) -> None:
    """Search four values of C in place of fifty, and one size and number of trees, when experiments are stacked."""
    from seti.stacking.meta_models import boosted_trees, logistic

    monkeypatch.setattr(logistic, "C_VALUES", (100.0, 5.0, 0.2, 0.01))
    monkeypatch.setattr(boosted_trees, "ROUNDS", (5,))
    monkeypatch.setattr(boosted_trees, "LEAVES", (5,))


def _run_script(script: str, args: list[str], environment: dict[str, str], folder: str, out: str, err: str) -> None:
    gc.freeze()  # as in `pytest_collection_finish`
    os.environ.clear()  # the fork server's: as it was when the first program was started
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = io.TextIOWrapper(open(1, "wb")), io.TextIOWrapper(open(2, "wb"))  # noqa: SIM115
    os.chdir(folder)
    os.setpgid(0, 0)
    multiprocessing.set_start_method("fork", force=True)  # as in a program that a person starts
    sys.argv = [script, *args]
    runpy.run_path(script, run_name="__main__")


PRELOADED = [
    *("conftest", "hydra.main", "seti.cli.program", "seti.cli.sweep_report", "seti.cli.help_text"),
    *("seti.training.fold", "seti.training.lr_range", "seti.inference.predict", "seti.stacking.out_of_fold"),
]


class Program:
    """A program that runs in a process of its own, forked off one that has imported torch already."""

    def __init__(self, folder: Path, script: str, args: list[str], number: int) -> None:
        self.out, self.err = folder / f".out{number}", folder / f".err{number}"
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        words = (str(ROOT / script), args, dict(os.environ), str(folder), str(self.out), str(self.err))
        self.process = context.Process(target=_run_script, args=words)
        self.process.start()

    def wait_for(self, path: Path) -> None:
        """Wait until a file is there."""
        end = time.monotonic() + HANGS
        while not path.exists():
            assert self.process.is_alive() or path.exists(), (
                f"ended early: {self.out.read_text()} {self.err.read_text()}"
            )
            assert time.monotonic() < end, f"{path} did not come"
            time.sleep(0.005)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.process.pid, number)

    def wait_for_children(self, count: int) -> None:
        """Wait until it has so many child processes."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        end = time.monotonic() + HANGS
        while len(listed.read_text().split()) < count:
            assert time.monotonic() < end, f"no {count} workers: {self.out.read_text()} {self.err.read_text()}"
            time.sleep(0.01)

    def send_group(self, number: signal.Signals) -> None:
        """Send a signal to it and its workers, as a terminal does."""
        os.killpg(self.process.pid, number)

    def finish(self, timeout: float = HANGS) -> Finished:
        """Wait for the end; a program that does not end is killed."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            pytest.fail(f"not done after {timeout} s: {self.out.read_text()} {self.err.read_text()}")
        return Finished(self.process.exitcode, self.out.read_text(), self.err.read_text())


@pytest.fixture
def start(tmp_path):
    """Start a program of the project in an empty folder: `start("train.py", *overrides)`."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    started = []

    def start_one(script: str, *args: str) -> Program:
        started.append(Program(folder, script, [str(arg) for arg in args], len(started)))
        return started[-1]

    yield start_one
    for program in started:
        if program.process.is_alive():
            program.process.kill()
            program.process.join()


@pytest.fixture
def run(start) -> Callable:
    """Run a program to its end."""
    return lambda script, *args, timeout=HANGS: start(script, *args).finish(timeout)


@pytest.fixture
def run_command(tmp_path) -> Callable:
    """Run a command as a person types it, with a fresh interpreter: `run_command("train.py", ...)`, `("-m", ...)`."""

    def run_one(*args: str, timeout: float = HANGS, folder: Path = tmp_path) -> Finished:
        words = [str(ROOT / arg) if arg.endswith(".py") else str(arg) for arg in args]
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run_one


def read_json(path: Path) -> dict:
    """Read a JSON file."""
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def observations(tmp_path_factory) -> Path:
    """A folder of six small observations with four needles and one decoy. Shared: not to be changed."""
    import observation_fakes

    folder = tmp_path_factory.mktemp("observations") / "obs"
    observation_fakes.write_cadence(folder)
    return folder


@pytest.fixture
def scan(observations, tmp_path, monkeypatch) -> Callable:
    """Scan observations in this process, by a plain search and without figures; gives the scan's folder."""
    import observation_fakes

    from seti.search import coarse_channel, run

    monkeypatch.setattr(coarse_channel, "search_channel", observation_fakes.search_channel)

    def one(*overrides: str, cadence: object = observations, out: str = "scan") -> Path:
        words = [f"cadence={cadence}", f"out={tmp_path / out}", "workers=1", "figures=0"]
        (folder,) = run.scan(compose("scan", [*words, *overrides]))
        return folder.path

    return one


@pytest.fixture
def no_figures(monkeypatch):
    """Leave the figures empty: drawing them takes the most time."""
    from seti.reports.pages import images

    monkeypatch.setattr(images, "figure_uri", lambda figure: "data:,")


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Begin each test with the same numbers of torch, whatever ran before in its process."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
