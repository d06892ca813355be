"""Fill up the disk in every command of the chain.

    python tests/faults/full_disk.py

Each command runs on a disk with no room, with none but for a page, and with a part of the room that it needs: it must
say so in one line, exit with code 1, leave what was there before as it was and nothing half-written, and finish when
there is room. What looks for room before it begins, simulate and pack, is also told that there is plenty, so that the
disk fills up under it. The disk is a small tmpfs where one can be mounted, else a limit on the size of files.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

import chain
from kills import results

SIZE = 64 * 2**20
PAGE = 4096
LOOKING = ("simulate", "pack")  # check free space before they start
SHARES = (0.15, 0.5, 0.85)  # of the space that a command needs
FULL = ("No space left", "File too large", "B free: ")  # the last one from simulate's check before it starts


class Disk:
    """Small disk, or a folder in which a command's files have a size limit.

    Args:
        folder: where it is mounted.
        limit: limit files even where it can be mounted.
    """

    def __init__(self, folder: Path, limit: bool) -> None:
        self.folder = folder
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "seti-test", str(folder)]
        self.mounted = not limit and shutil.which("mount") is not None
        self.mounted = self.mounted and subprocess.run(mount, capture_output=True).returncode == 0
        self.filler = folder / ".filler"
        self.limit: int | None = None

    def stamps(self) -> dict[Path, int]:
        """Return the modification time of each file."""
        return {path: path.stat().st_mtime_ns for path in self.folder.rglob("*") if path.is_file()}

    def written(self, before: dict[Path, int]) -> int:
        """Sum the bytes of files written since; a new file needs space in addition to the old one."""
        paths = [path for path, stamp in self.stamps().items() if before.get(path) != stamp]
        return sum(-(-path.stat().st_size // PAGE) * PAGE for path in paths)

    def leave(self, free: int) -> None:
        """Leave a number of bytes free."""
        if not self.mounted:
            self.limit = max(1, free)
            return
        room = os.statvfs(self.folder)
        with self.filler.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(1, room.f_bavail * room.f_frsize - free))

    def make_room(self) -> None:
        """Free the space again."""
        self.limit = None
        self.filler.unlink(missing_ok=True)

    def bound(self) -> None:
        """Set the limit, in the process it applies to."""
        if self.limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.limit))

    def bound_unseen(self) -> None:
        """Set the limit, and report plenty of free space to callers that check."""
        self.bound()
        usage = shutil.disk_usage(self.folder)
        shutil.disk_usage = lambda _: usage._replace(free=2**50)

    def close(self) -> None:
        """Unmount the disk."""
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


def contents(folder: Path) -> dict[str, bytes]:
    """List all files that a command left under their final names, except logs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith((".", "events.")) and path.suffix not in (".log", ".yaml")
    }


def check_failure(disk: Disk, ended: chain.Ended, before: dict[str, bytes]) -> list[str]:
    """List the faults of a command on a full disk."""
    wrong = []
    if ended.code != 1:
        wrong.append(f"exit code {ended.code}")
    lines = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    # A sweep reports each failed fold once, and lists all folds at its end.
    if not lines or not any(word in line for line in lines for word in FULL):
        wrong.append("no line says that the disk is full")
    if "Traceback" in ended.err + ended.out or "Logging error" in ended.err:
        wrong.append("a traceback")
    after = contents(disk.folder)
    lost = sorted(name for name, content in before.items() if after.get(name) != content)
    if lost:
        wrong.append(f"not as they were: {', '.join(lost[:5])}")
    return wrong + chain.check_whole(disk.folder)


def main() -> int:
    """Fill up the disk; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="commands to run on a full disk; all where left out")
    parser.add_argument("--shares", type=float, nargs="*", default=SHARES)
    parser.add_argument("--limit", action="store_true", help="limit the size of files, rather than mount a tmpfs")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="seti-full-"))
    chain.preload()
    disk = Disk(folder / "disk", asked.limit)
    try:
        return _fill(disk, folder, asked.only, asked.shares)
    finally:
        disk.close()
        shutil.rmtree(folder, ignore_errors=True)


def _fill(disk: Disk, folder: Path, only: list[str] | None, shares: list[float]) -> int:
    started, fillings = time.monotonic(), 0
    kind = f"a tmpfs of {SIZE // 2**20} MiB" if disk.mounted else "a limit on the size of files"
    print(f"the disk is {kind}")
    data, outputs = disk.folder / "data", disk.folder / "outputs"
    commands = chain.commands(data, outputs)
    needs, states, failures = {}, {}, []
    for name, words in commands.items():
        states[name] = folder / f"before-{name}"
        shutil.copytree(disk.folder, states[name])
        stamps = disk.stamps()
        ended = chain.run(words, folder)
        if ended.code != 0:
            print(f"{name} fails by itself: {ended.out} {ended.err}")
            return 1
        needs[name] = disk.written(stamps)
    expected = results(data, outputs)
    for name in only or commands:
        following = list(commands).index(name)
        cases = [(free, disk.bound) for free in (0, PAGE, *(int(share * needs[name]) for share in shares))]
        if name in LOOKING:  # checks with no space, and with half of the space
            cases = [cases[0], (needs[name] // 2, disk.bound), *((free, disk.bound_unseen) for free, _ in cases[1:])]
        if not disk.mounted:  # a limit of zero would also apply to the command's output
            cases = [case for case in cases if case[0] >= PAGE]
        for free, before_it in cases:
            _restore(disk, states[name])
            before = contents(disk.folder)
            disk.leave(free)
            ended = chain.run(commands[name], folder, before=before_it)
            disk.make_room()
            said = next((line for line in ended.err.splitlines() if line.startswith("error: ")), "")
            enough = ended.code == 0
            fillings += not enough
            wrong = [] if enough and free >= min(shares) * needs[name] else check_failure(disk, ended, before)
            for later, words in list(commands.items())[following:]:
                again = chain.run(words, folder)
                if again.code != 0:
                    wrong.append(f"{later} does not go on: {again.err[-600:]}")
                    break
            found = {} if wrong else results(data, outputs)
            wrong += [f"{key} is not as always" for key in expected if not wrong and found.get(key) != expected[key]]
            wrong += [f"left: {part}" for part in chain.parts(disk.folder)]
            verdict = "WRONG: " + "; ".join(wrong) if wrong else "had enough" if enough else "refused, then finished"
            print(f"{name:9} {free:9} of {needs[name]:9} bytes free: {verdict}  {said.replace(str(folder), '')[:150]}")
            sys.stdout.flush()
            if wrong:
                failures.append(ended.out[-500:] + ended.err[-1500:])
    print(f"{fillings} fillings of {kind}, {len(failures)} failures, {time.monotonic() - started:.0f} s")
    for failure in failures[:3]:
        print(failure)
    return 1 if failures else 0


def _restore(disk: Disk, state: Path) -> None:
    for path in disk.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(state, disk.folder, dirs_exist_ok=True)


if __name__ == "__main__":
    sys.exit(main())
