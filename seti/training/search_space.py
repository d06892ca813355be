"""Search space of `seti tune`: settings of training, and the values that each may take."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seti.config import keys
from seti.config.conversions import NONE
from seti.errors import SetiError, SettingsError, brief
from seti.utils import spelling

KINDS = ("log", "float", "int", "choice")
SET_BY_TRIAL = ("fold", "exp_name", "output_dir")
WORD = re.compile(r"\s*([^=\s]+)\s*=\s*(\w+)\((.*)\)\s*", re.DOTALL)


@dataclass(frozen=True)
class Dimension:
    """One setting that is searched.

    Attributes:
        key: of the setting, such as `optimizer.lr`.
        kind: `log`, `float`, `int` or `choice`.
        values: lowest and highest number; or the words to choose from.
    """

    key: str
    kind: str
    values: tuple[Any, ...]

    def suggest(self, trial: Any) -> Any:
        """Let a trial of Optuna choose a value."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.key, self.values)
        if self.kind == "int":
            return trial.suggest_int(self.key, *self.values)
        return trial.suggest_float(self.key, *self.values, log=self.kind == "log")

    def default(self, value: Any) -> Any:
        """Return a setting's value as one of this space; None if it is outside."""
        if self.kind == "choice":
            written = "null" if value is None else str(value)
            same = (word for word in self.values if word == written or _number(word) == _number(written) is not None)
            return next(same, None)
        inside = isinstance(value, int | float) and self.values[0] <= value <= self.values[1]
        return value if inside else None


def parse_space(words: Sequence[str]) -> list[Dimension]:
    """Read a search space, `["optimizer.lr=log(1e-4,1e-2)", ...]`.

    Raises:
        SettingsError: naming the word, and the way to write it.
    """
    space = [_parse(word) for word in words]
    names = [one.key for one in space]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not space or twice:
        msg = f"space names {twice[0]} twice" if twice else "space is empty: give settings to search"
        raise SettingsError(f"{msg}, such as space=[optimizer.lr=log(1e-4,1e-2)]")
    return space


def _parse(word: str) -> Dimension:
    matched = WORD.fullmatch(str(word))
    if matched is None or matched[2] not in KINDS:
        msg = (
            f"space: {brief(word)!r} is not read: write <setting>=log(low,high), float(low,high), int(low,high) or "
            "choice(a,b,...)"
        )
        raise SettingsError(msg)
    key, kind, inner = matched.groups()
    try:
        keys.check_known("train", key)
    except SetiError as error:
        raise SettingsError(f"space: {error}") from error
    if key in SET_BY_TRIAL:
        msg = f"space: {key} is set by each trial: take it out"
        raise SettingsError(msg)
    words = [one.strip() for one in spelling.split(inner)]
    if kind == "choice":
        if len(words) < 2 or len(set(words)) < len(words) or "" in words:
            msg = f"space: {key}=choice({inner}) takes two or more values, each once"
            raise SettingsError(msg)
        return Dimension(key, kind, tuple("null" if one.lower() in NONE else one for one in words))
    numbers = [_number(one) for one in words]
    low, high = numbers if len(numbers) == 2 else (None, None)
    whole = kind != "int" or all(number is not None and number == int(number) for number in numbers)
    if low is None or high is None or low >= high or not whole or (kind == "log" and low <= 0):
        rule = {"log": "two numbers above 0", "int": "two whole numbers", "float": "two numbers"}[kind]
        msg = f"space: {key}={kind}({inner}) takes {rule}, the lower one first"
        raise SettingsError(msg)
    return Dimension(key, kind, (int(low), int(high)) if kind == "int" else (low, high))


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
