"""Lint of the project's English: banned words, and the first lines of docstrings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted([*(ROOT / "seti").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py"), *ROOT.glob("*.py")])
DOCUMENTS = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "benchmarks/*.md", "conf/**/*.yaml")
    for path in ROOT.glob(pattern)
)

# Patterns and replacements. They also match parts of snake_case names, and ignore case.
BANNED = {
    r"pictures?": "image, figure",
    r"mend(s|ed|ing)?": "fix, correct",
    r"cur(e|es|ed|ing)": "fix",
    r"anew": "again",
    r"rooms?": "module, package, space",
    r"whoever": "the user, the caller",
    r"nobody": "no one, no process, unknown",
    r"a person('s)?": "the user",
    r"told": "said, stated, reported, given",
    r"tells? of": "states, reports",
    r"held against": "compared with, relative to",
    r"beside": "next to, in addition to",
    r"to be had": "available",
    r"(takes?|took|taken) away": "delete, remove",
    r"for want of": "for lack of",
    r"for ever": "forever",
    r"all the same": "nevertheless, regardless, equal",
    r"(?<!there\s)(is|are)\sno\s(?!longer|more|such|other|good|\w+\sthan)[.a-z]+": "is not a, are not",
}
WORDS = {
    re.compile(r"(?<![a-z])" + word.replace(" ", r"\s+") + r"(?![a-z])", re.IGNORECASE): instead
    for word, instead in BANNED.items()
}
MAX_LENGTH = 90
RIDDLES = ("What", "Where", "Which", "Whether", "How", "When", "Whose", "Who", "Why")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def banned_words(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, match and replacement of each banned word."""
    for pattern, instead in WORDS.items():
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match[0], instead


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line number and first line of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield node.body[0].lineno, text.splitlines()[0]


def faults(line: str) -> Iterator[str]:
    """Yield the faults of a docstring's first line."""
    if line.split()[0].strip(",:;") in RIDDLES:
        yield f"begins with {line.split()[0]}: use an imperative or a noun phrase"
    if len(line) > MAX_LENGTH:
        yield f"has {len(line)} characters: at most {MAX_LENGTH}"
    if not line.endswith("."):
        yield "does not end with a period"


@pytest.mark.parametrize("path", [*MODULES, *DOCUMENTS], ids=name)
def test_no_banned_word_is_used(path):
    found = [f"{name(path)}:{line}: {word!r}: write {good}" for line, word, good in banned_words(path.read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_docstrings_begin_with_a_short_plain_line(path):
    lines = docstrings(ast.parse(path.read_text()))
    found = [f"{name(path)}:{number}: {fault}: {line!r}" for number, line in lines for fault in faults(line)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A picture of\nTWO PICTURES", ["picture", "PICTURES"]),
        ("def mend_it(): ...", ["mend"]),
        ("a value held\nagainst another", ["held\nagainst"]),
        ("x is no folder, there is no folder, rows are no signals", ["is no folder", "are no signals"]),
        ("secure, recommend, bedroom, besides, a personal image, broom", []),
    ],
)
def test_the_lint_finds_whole_words_only(text, expected):
    assert sorted(word for _, word, _ in banned_words(text)) == sorted(expected)


def test_the_lint_refuses_riddles_long_lines_and_missing_periods():
    assert len(list(faults("Whether it " + "is " * 40))) == 3
    assert not list(faults("True if it is."))
