r"""Spelling of text in the settings of a command line: quotes, escapes and what they protect.

A value may stand in single or double quotes, as in `data.root="a, b"`. Inside of them a backslash escapes the quote,
and `\${` is the text `${`, which begins an interpolation otherwise. Without quotes a backslash escapes the characters
that Hydra's grammar has a meaning for.
"""

import re

QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
ESCAPED = re.compile(r"\\([\\()\[\]{}:=, \t])")
OPEN = {"(": ")", "[": "]", "{": "}"}
# Spelled without quotes in printed commands: no list, no interpolation, no function, nothing that a sweep splits.
PLAIN = re.compile(r"[\w/.=+@%:#*?|-](?:[\w/.=+@%:#*?|~$ -]*[\w/.=+@%:#*?|~$-])?")


def is_quoted(value: str) -> bool:
    """True for text in quotes as a whole."""
    return QUOTED.fullmatch(value) is not None


def quote(text: str) -> str:
    """Put text in quotes; interpolations in it stay what they are."""
    mark = "'" if '"' in text and "'" not in text else '"'
    # Backslashes count as escapes right before a quote only.
    return mark + re.sub(rf"(\\*)({mark}|\Z)", lambda run: run[1] * 2 + ("\\" + mark if run[2] else ""), text) + mark


def unquote(value: str) -> str:
    """The text between quotes."""
    mark, inner = value[0], value[1:-1]
    return re.sub(rf"(\\+)({mark}|\Z)", lambda run: run[1][: len(run[1]) // 2] + run[2], inner)


def unescape(value: str) -> str:
    """The text of a value without quotes."""
    return ESCAPED.sub(r"\1", value)


def literal(text: str) -> str:
    r"""Escape `${`, so that no interpolation begins there."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def spell(text: str) -> str:
    """Spell text as the value of a setting, which every command reads as that text.

    `quote` is used where the text would be read as anything else: a list, `null`, two jobs of a sweep, ...
    """
    if PLAIN.fullmatch(text) and text.lower() != "null" and text != "???":
        return text
    return quote(literal(text))


def split(value: str) -> list[str]:
    """Split a value at the commas outside of quotes and brackets; drop blanks around the parts."""
    return [part.strip(" \t") for part in _split(value, nested=_balanced(value))]


def unclosed(value: str) -> str | None:
    """The first bracket or quote that is not closed, or closes nothing; None where all match."""
    opened: list[str] = []
    for _, sign in _signs(value):
        if sign in OPEN:
            opened.append(sign)
        elif sign in OPEN.values():
            if not opened or OPEN[opened.pop()] != sign:
                return sign
        elif sign in "'\"":
            return sign
    return opened[0] if opened else None


def _balanced(value: str) -> bool:
    return unclosed(value) is None


def _split(value: str, *, nested: bool) -> list[str]:
    parts, depth, begin = [], 0, 0
    for place, sign in _signs(value):
        if sign in OPEN:
            depth += nested
        elif sign in OPEN.values():
            depth -= nested
        elif sign == "," and not depth:
            parts.append(value[begin:place])
            begin = place + 1
    return [*parts, value[begin:]]


def _signs(value: str) -> list[tuple[int, str]]:
    """Find brackets, commas and opening quotes, with their places, outside of quoted texts."""
    found, place, fresh = [], 0, True  # fresh: an element begins here, the only place where a quote opens a text
    while place < len(value):
        sign = value[place]
        if sign == "\\":
            place += 2
            fresh = False
            continue
        if sign in "'\"" and fresh:
            quoted = QUOTED.match(value, place)
            if quoted is None:
                found.append((place, sign))
            else:
                place = quoted.end()
                fresh = False
                continue
        elif sign in "([{}]),":
            found.append((place, sign))
        fresh = sign in "([{,:" or (fresh and sign in " \t")
        place += 1
    return found
