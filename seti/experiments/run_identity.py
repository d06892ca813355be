"""The identity of a training run: two runs with the same one train the same fold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seti.errors import SettingsError, brief

# Settings of where, how fast or how verbosely a fold is trained: they do not change its result.
NOT_COMPARED = (
    "fold",
    "force",
    "output_dir",
    "exp_name",
    "threads",
    "logger",
    "retries",  # result.json says which seed the fold was trained with
    "watch",
    "lr_range",
    "lr_range_test",
    "data.root",  # the fingerprint of its label table identifies the data set, wherever it is
    "data.groups",  # folds that keep groups together are in the fingerprint
    "data.pseudo",  # as is the digest of its table
    "data.num_workers",
    "data.packed",
    "data.pack_dir",
    "data.on_error",  # leaving cadences out changes the fingerprint
    "data.augment_on",  # the same images, up to the rounding of their interpolation
    "data.keep_on_device",
    "model.compile",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.max_time",
    "trainer.logger",
    "trainer.profiler",
    "trainer.detect_anomaly",
    "trainer.log_every_n_steps",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
)


UNGROUPED = "folds that keep no groups together"
REPLACE = "force=true to replace that fold"


@dataclass(frozen=True)
class RunIdentity:
    """Configuration, label table and seed of a run, as its checkpoints and records keep them.

    Attributes:
        config: the whole configuration as plain values.
        fingerprint: of the label table, see `seti.data.folds.fingerprint`.
        seed: in use, which a retry changes and `config` does not show; None where it does not matter.
        ungrouped: fingerprint without the groups of a run that is to start, for messages; None: it has none, or the
            run was read from a file.
    """

    config: dict[str, Any]
    fingerprint: str
    seed: int | None = None
    ungrouped: str | None = None

    @classmethod
    def from_plain(cls, content: Any) -> "RunIdentity | None":
        """Read what `plain` gave, out of a file; None where it is anything else."""
        own = isinstance(content, dict) and isinstance(content.get("config"), dict) and "fingerprint" in content
        return cls(content["config"], content["fingerprint"], content.get("seed")) if own else None

    def plain(self) -> dict[str, Any]:
        """Keys config, fingerprint and, where it is set, seed."""
        content = {"config": self.config, "fingerprint": self.fingerprint}
        return content if self.seed is None else content | {"seed": self.seed}

    def differences(self, other: "RunIdentity") -> list[str]:
        """List the differences that change the trained fold, as `name: own -> other`; not the seed."""
        different = differences(self.config, other.config)
        if self.fingerprint != other.fingerprint:
            different.append(self._label_difference(other))
        return different

    def _label_difference(self, other: "RunIdentity") -> str:
        """Name the setting that gave other labelled cadences, or else the label table."""
        if self.fingerprint == other.ungrouped:
            return f"{UNGROUPED}, as data.groups=none"
        own, others = (dict(flatten(run.config)) for run in (self, other))
        # skip leaves damaged cadences out, and folds that keep groups together are others
        for key, what in (
            ("data.on_error", "labelled cadences"),
            ("data.groups", "folds"),
            ("data.root", "labelled cadences"),
        ):
            old, new = own.get(key), others.get(key)
            if key == "data.groups" and {old, new} <= {None, "auto"}:  # records of version 0.2 have none
                continue
            if old != new:
                return f"{key}: {brief(old, 200)} -> {brief(new, 200)}, with other {what}"
        labels, pseudo = zip(*((run.fingerprint + "+").split("+")[:2] for run in (self, other)), strict=True)
        if labels[0] == labels[1] and pseudo[0] != pseudo[1]:
            old, new = (brief(settings.get("data.pseudo"), 200) for settings in (own, others))
            same = f"{new} has changed" if old == new else f"{old} -> {new}"
            return f"other pseudo-labels: {same}"
        if own.get("data.on_error") == "skip":
            return "other labelled cadences: train_labels.csv, or which cadences could be read, has changed"
        if self.config.get("data", {}).get("folds") is None and "auto" in (
            own.get("data.groups"),
            others.get("data.groups"),
        ):
            return (
                "other labelled cadences or folds: train_labels.csv, or the groups that data.groups=auto keeps together"
                " and data.groups=none does not, have changed"
            )
        return "other labelled cadences: train_labels.csv has changed"

    def check_same(self, other: "RunIdentity", folder: Path, remedy: Callable[[], str] = lambda: REPLACE) -> None:
        """Refuse to continue a fold of this identity with another one.

        Args:
            other: of the run that wants to.
            folder: the fold's.
            remedy: gives the advice besides another exp_name.

        Raises:
            SettingsError: naming every difference.
        """
        different = self.differences(other)
        if len(different) == 1 and self.fingerprint == other.ungrouped:
            msg = f"{folder} was trained with {UNGROUPED}: add data.groups=none to go on, or give another exp_name"
            raise SettingsError(msg)
        if different:
            msg = (
                f"{folder} was trained with other settings ({'; '.join(different)}): give another exp_name, "
                f"or {remedy()}"
            )
            raise SettingsError(msg)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """List settings that make two configurations train different folds, as `key: old -> new`."""
    flat_old, flat_new = dict(flatten(old)), dict(flatten(new))
    return [
        f"{brief(key)}: {brief(flat_old.get(key))} -> {brief(flat_new.get(key))}"
        for key in sorted(flat_old.keys() | flat_new.keys())
        if flat_old.get(key) != flat_new.get(key)
        and not any(key == skip or key.startswith(skip + ".") for skip in NOT_COMPARED)
    ]


def flatten(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of a nested configuration."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
