"""Read damaged files of every kind: each is read correctly, or refused in one line.

    python tests/faults/fuzz.py --inputs 12000 --seed 1

Half of the inputs are whole files, damaged (`mutations`), half are made from odd parts by hypothesis. Anything but
`SetiError`, a reading that takes over 5 s, or one that asks for over 1 GiB of memory, ends it with exit code 1; the
input is kept in the folder that it names.
"""

import argparse
import collections
import logging
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from mutations import mutate
from specimens import SPRUNG, Specimen, make_specimens, restore

from seti.errors import SetiError

SECONDS = 5
MEMORY = 2**30


class HangError(BaseException):
    """Timeout of a read, which no reader may catch."""


class Bench:
    """Reader of inputs of one kind that counts the outcomes."""

    def __init__(self, name: str, specimen: Specimen, whole: dict[Path, bytes]) -> None:
        self.name, self.specimen, self.whole = name, specimen, whole
        self.counts = collections.Counter()
        self.slowest, self.largest = 0.0, 0
        self.failures: list[str] = []
        self.reasons = collections.Counter()

    def put(self, content: bytes, sealed: bool) -> None:
        """Read one input."""
        specimen = self.specimen
        specimen.path.write_bytes(content)
        if sealed and specimen.seal:
            specimen.seal()
        before = _allow(MEMORY)
        started = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            specimen.read()
            self.counts["read"] += 1
        except SetiError as error:
            self.counts["refused"] += 1
            self._check_message(str(error), content)
        except HangError:
            self._fail(f"took over {SECONDS} s", content)
        except Exception as error:
            self._fail(f"{type(error).__name__}: {str(error)[:300]}", content)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.slowest = max(self.slowest, time.perf_counter() - started)
            self.largest = max(self.largest, _peak() - before)
        if SPRUNG.exists():
            SPRUNG.unlink()
            self._fail("code in it was run", content)

    def _check_message(self, message: str, content: bytes) -> None:
        if str(self.specimen.path) not in message and str(self.specimen.path.parents[1]) not in message:
            self._fail(f"the refusal does not name the file: {message[:300]}", content)
        elif not message.isprintable() or len(message) > 1000:
            self._fail(f"the refusal is not a line to read: {message[:300]!r}", content)
        elif any(word in message for word in ("MemoryError", "llocate")):
            self._fail(f"it asked for over {MEMORY} bytes: {message[:300]}", content)
        self.reasons[message.replace(str(self.specimen.path), "")[:60]] += 1

    def _fail(self, what: str, content: bytes) -> None:
        self.counts["failed"] += 1
        kept = Path(f"failed-{self.name.strip('.').replace(' ', '-')}-{len(self.failures)}")
        if len(self.failures) < 20:
            kept.write_bytes(content)
            self.failures.append(f"{self.name}: {what} ({kept.resolve()})")


def run(bench: Bench, inputs: int, seed: int) -> None:
    """Feed damaged and synthetic inputs to a reader."""
    specimen = bench.specimen
    whole = bench.whole[specimen.path]
    random = Random(f"{bench.name} {seed}")
    bench.put(whole, sealed=False)  # first check that the intact file is read
    if bench.counts["read"] != 1:
        bench.failures.append(f"{bench.name}: the whole file is not read")
    for number in range(inputs // 2):
        bench.put(mutate(whole, random, specimen.text), sealed=number % 4 > 0)

    @hypothesis_seed(seed)
    @settings(
        max_examples=inputs - inputs // 2,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(specimen.made)
    def put(content: bytes) -> None:
        bench.put(content, sealed=True)

    put()
    restore(bench.whole)


def main() -> int:
    """Fuzz every kind and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one kind")
    asked = parser.parse_args()
    logging.disable()
    warnings.simplefilter("error")  # a warning means that the reader left the damage to a library
    signal.signal(signal.SIGALRM, _hang)
    folder = Path(tempfile.mkdtemp(prefix="seti-fuzz-"))
    os.chdir(folder)
    specimens = make_specimens(folder / "files")
    whole = {path: path.read_bytes() for path in (folder / "files").rglob("*") if path.is_file()}
    started, failures, total = time.perf_counter(), [], 0
    print(f"{'':20}{'inputs':>8}{'read':>8}{'refused':>8}{'failed':>8}{'slowest':>10}{'largest':>12}")
    for name, specimen in specimens.items():
        if asked.only in (None, name):
            bench = Bench(name, specimen, whole)
            run(bench, max(4, round(asked.inputs * specimen.share)), asked.seed)
            counts = bench.counts
            total += sum(counts[key] for key in ("read", "refused"))
            shown = [sum(counts.values()), counts["read"], counts["refused"], counts["failed"]]
            print(
                f"{name:20}"
                + "".join(f"{count:8}" for count in shown)
                + f"{bench.slowest:8.2f} s{bench.largest / 2**20:8.1f} MiB",
                flush=True,
            )
            failures += bench.failures
            if asked.only:
                for reason, count in bench.reasons.most_common(40):
                    print(f"  {count:6} {reason}")
    seconds = time.perf_counter() - started
    print(f"{total} inputs in {seconds:.0f} s, seed {asked.seed}")
    for failure in failures:
        print(failure)
    if not failures:
        os.chdir(folder.parent)
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()
    return 1 if failures else 0


def _allow(memory: int) -> int:
    """Limit further allocations to a number of bytes; return the resident bytes now."""
    pages, resident = (int(number) for number in Path("/proc/self/statm").read_text().split()[:2])
    limit = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    return resident * resource.getpagesize()


def _peak() -> int:
    """Return the peak resident bytes since `_allow`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _hang(*_: object) -> None:
    raise HangError


if __name__ == "__main__":
    sys.exit(main())
