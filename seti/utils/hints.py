"""Commands in the hints that programs print, named the way the user started the program.

Every one can be copied into a shell. Text that comes into one, such as a folder's path, goes through `setting`.
"""

import os
import shlex
import sys
from pathlib import Path

from seti.utils import spelling

PACKAGE = Path(__file__).parents[1]
PRINTF = "\\%'-"  # characters that mean something to it or to its quotes
SCRIPTS = ("train", "predict", "stack")  # commands with a script at the top of a checkout


def program(name: str) -> list[str]:
    """Return the words that start a command.

    `python train.py` leads to `python predict.py`, `python -m seti.train` to `python -m seti.predict`; `seti train`,
    and use as a library, lead to `seti predict`.

    Args:
        name: of the command.
    """
    started = Path(sys.argv[0] if sys.argv else "")
    folder = started.resolve().parent if started.suffix == ".py" else None
    if folder == PACKAGE:
        return ["python", "-m", "seti", name] if started.stem == "__main__" else ["python", "-m", f"seti.{name}"]
    if folder == PACKAGE.parent and started.stem in SCRIPTS:
        script = str(started.with_name(f"{name}.py"))
        return ["python", script] if name in SCRIPTS else ["python", "-m", f"seti.{name}"]
    return ["seti", name]


def command(name: str, *words: str) -> str:
    """Return a command line, quoted for a shell: `command("check", setting("data.root", root))`."""
    return " ".join(map(shell, [*program(name), *words]))


def setting(key: str, text: str | Path) -> str:
    """Return a word of a command line that sets a setting to a text, whatever characters it has."""
    return f"{key}={spelling.spell(str(text))}"


def shell(word: str) -> str:
    r"""Quote one word for a shell, where it needs that.

    Characters that the terminal cannot show are written as their bytes, as in `"$(printf 'd\303\251')"`, which every
    shell reads.
    """
    try:
        word.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return f"\"$(printf '{''.join(map(_byte, _bytes(word)))}')\""
    return shlex.quote(word)


def _bytes(word: str) -> bytes:
    try:
        return os.fsencode(word)
    except UnicodeEncodeError:  # a name from a file, in a locale that lacks it
        return word.encode("utf-8", "surrogateescape")


def _byte(value: int) -> str:
    # Three octal digits end by themselves; \x would read on where a digit follows it, and not every printf has it.
    return chr(value) if 32 <= value < 127 and chr(value) not in PRINTF else f"\\{value:03o}"
