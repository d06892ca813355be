"""All commands under one name: `seti <command> ...`, or `python -m seti <command> ...`."""

import difflib
import importlib
import os
import sys

import seti

# In the order of use; each name is that of a module in this package.
COMMANDS = {
    "simulate": "Simulate a data set, or observations",
    "inject": "Copy observations with simulated signals added",
    "check": "Check every cadence of a data set",
    "pack": "Pack a data set into one file a split",
    "twins": "Find cadences that share a background",
    "baseline": "Score a data set without a network",
    "show": "Draw cadences",
    "train": "Train one configuration",
    "tune": "Search settings of training",
    "predict": "Predict the test set",
    "stack": "Blend experiments",
    "report": "Write a page for the browser",
    "export": "Export an ensemble",
    "scan": "Search observations for events",
}
COMPLETION = ("-sc", "--shell-completion")


def main() -> None:
    """Run the command that the first word names, with the other words as its command line."""
    program, *words = sys.argv
    name = words[0] if words else "--help"
    if name in ("-h", "--help"):
        print(_listing())
    elif name == "--version":
        print(f"seti {seti.__version__}")
    elif name in COMPLETION:
        _complete(program, words)
    elif name in COMMANDS:
        _run(name, program, words[1:])
    else:
        near = difflib.get_close_matches(name, COMMANDS, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        print(f"error: {name!r} is not a command: {hint}seti --help lists all", file=sys.stderr)
        sys.exit(2)


def _listing() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "Find needles in Green Bank Telescope cadences.",
            "",
            "seti <command> [setting=value ...]",
            "",
            *(f"  {name:{width}}  {line}" for name, line in COMMANDS.items()),
            "",
            "seti <command> --help lists a command's settings, seti --version prints the version,",
            'eval "$(seti -sc install=bash)" completes commands and settings with the tab key.',
        ]
    )


def _run(name: str, program: str, words: list[str]) -> None:
    sys.argv = [program, *words]  # Hydra reads the command line there
    importlib.import_module(f"seti.{name}").main()


def _complete(program: str, words: list[str]) -> None:
    """Complete a command line for the shell: the command's name, then its settings by Hydra."""
    if words[-1].startswith("query="):
        line = os.environ.get("COMP_LINE", "")
        typed = line.split()[1:]
        if not typed or (len(typed) == 1 and not line.endswith(" ")):
            print("\n".join(name for name in COMMANDS if name.startswith("".join(typed))))
        elif typed[0] in COMMANDS:
            os.environ["COMP_LINE"] = line.replace(f" {typed[0]} ", " ", 1)
            _run(typed[0], program, words)
    else:
        _run("train", program, words)  # Hydra's script for the shell names the program alone


if __name__ == "__main__":
    main()
