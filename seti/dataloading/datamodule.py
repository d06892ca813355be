"""LightningDataModule of one fold: its training and validation cadences."""

import logging
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader

from seti.backgrounds.original import Original
from seti.data import competition
from seti.data.cleaned_set import CLEAN, FITTING, MARK, is_cleaned
from seti.data.folds import COLUMN, divide, fingerprint
from seti.data.groups import Groups, store_folds
from seti.data.joined_source import JoinedCadences
from seti.data.oddities import find_oddities
from seti.data.sources import CadenceSource
from seti.data.splits import OpenedSplit, open_split
from seti.dataloading import kept
from seti.dataloading.dataset import CadenceDataset
from seti.dataloading.groups import choose_groups
from seti.dataloading.loader import make_loader
from seti.dataloading.pseudo import PseudoLabels, mark
from seti.dataloading.sampler import EpochSampler, epoch_length
from seti.dataloading.shares import Share
from seti.dataloading.uncleaned import Uncleaned, find_uncleaned, open_uncleaned
from seti.errors import SetiError, SettingsError
from seti.transforms.gaps import scale_gap
from seti.transforms.input_spec import InputSpec
from seti.transforms.layouts import LAYOUTS
from seti.transforms.panel_augmentation import panels_to_read
from seti.utils import ranks
from seti.utils.notices import log_once

log = logging.getLogger(__name__)


class CadenceDataModule(pl.LightningDataModule):
    """Training and validation cadences of one fold.

    Args:
        data: the `data` settings as plain values.
        augment: the `augment` settings as plain values.
        fold: number of the fold that is held out.
        seed: of the shuffling and the transforms.
        folds_table: file in which grouped folds are kept, see `store_folds`; None keeps none.

    Raises:
        SetiError: on use, when the data set is missing, damaged or too small; see `seti.data.competition`.
    """

    def __init__(
        self,
        data: dict[str, Any],
        augment: dict[str, Any],
        fold: int,
        seed: int,
        folds_table: Path | None = None,
    ) -> None:
        super().__init__()
        self.data = data
        self.augment = augment
        if augment.get("inject_cleaned") is None and "inject_cleaned" in augment:
            self.augment = augment | {"inject_cleaned": (Path(data["root"]) / CLEAN).is_file()}
        self.fold = fold
        self.seed = seed
        self.first_epoch, self.first_batch = 0, 0  # of this run; a resumed one starts later
        self.batch_size = data["batch_size"]
        self.root = Path(data["root"])
        self.folds_table = folds_table
        self.pseudo: PseudoLabels | None = None  # to be set before anything is used
        self.kept: Tensor | None = None  # cadences on the device, those to train on and then the held-out ones

    @property
    def on_device(self) -> bool:
        """True where images are made on the network's device; never without a Trainer."""
        choice = self.data["augment_on"]
        if choice == "auto":
            return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return choice == "device"

    @cached_property
    def _listed(self) -> pd.DataFrame:
        """The label table, sorted by id."""
        listed = competition.read_labels_and_folds(self.root)
        competition.check_overlap(self.root)
        self._check_normalisation()
        _ = self._original  # before files are missing that are links to it
        return listed

    @cached_property
    def _original(self) -> Original | None:
        """The data set that this one was made from, where its cadences are drawn too."""
        return find_uncleaned(self.root, self.data.get("uncleaned"))

    def _check_normalisation(self) -> None:
        """Refuse to divide rounding noise by itself."""
        how = self.data["normalise"]
        if is_cleaned(self.root) and how not in FITTING:
            msg = (
                f"data.normalise={how} would divide the rounding noise that is left in {self.root} by itself: set "
                "data.normalise=cleaned, as experiment=best_clean_cpu does"
            )
            raise SetiError(msg)

    @cached_property
    def groups(self) -> Groups | None:
        """Group of every labelled cadence, where folds keep groups together."""
        return choose_groups(self.data.get("groups"), self.root, self._listed["id"], self.data["folds"])

    @cached_property
    def labels(self) -> pd.DataFrame:
        """Columns id, target, fold of every labelled cadence, also damaged ones, sorted by id."""
        folds, number, seed = (self.data[name] for name in ("folds", "n_folds", "fold_seed"))
        return divide(self._listed, self.root, folds, number, seed, self.groups, self.folds_table)

    def store_folds(self) -> None:
        """Keep grouped folds, so that the next run of the experiment need not draw them."""
        if self.groups is not None and self.folds_table is not None:
            store_folds(self.folds_table, self.labels, self.groups, self.data["fold_seed"])

    @cached_property
    def _opened(self) -> OpenedSplit:
        panels = panels_to_read(self.data["panels"], self.augment)
        choices = {name: self.data[name] for name in ("packed", "pack_dir", "on_error")}
        opened = open_split(self.root, "train", self.labels["id"].to_numpy(), panels, **choices)
        for oddity in find_oddities(opened.source, self.data["normalise"]):
            log_once(log, logging.WARNING, f"{self.root / 'train'}: {oddity}")
        return opened

    @property
    def skipped(self) -> dict[str, str]:
        """Reason by id of every cadence that is left out (`data.on_error=skip`)."""
        return self._opened.skipped

    @cached_property
    def table(self) -> pd.DataFrame:
        """Columns id, target, fold: every labelled cadence that is not left out, sorted by id."""
        table = self.labels[~self.labels["id"].isin(self.skipped)].reset_index(drop=True)
        for name, part in (("held out", table["fold"] == self.fold), ("to train on", table["fold"] != self.fold)):
            if table.loc[part, "target"].nunique() < 2:
                msg = (
                    f"data.on_error=skip leaves out {len(self.skipped)} cadences of {self.root / 'train'}, and "
                    f"of those {name} in fold {self.fold} one class is gone: replace damaged files"
                )
                raise SetiError(msg)
        return table

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the labelled cadences that are not left out, and of the pseudo-labels."""
        return self._fingerprint(self.data["folds"] == COLUMN or self.groups is not None)

    @property
    def ungrouped(self) -> str | None:
        """The fingerprint of `data.groups=none`, where groups change it."""
        return None if self.groups is None else self._fingerprint(False)

    def _fingerprint(self, with_folds: bool) -> str:
        cleaned = MARK if is_cleaned(self.root) else ""
        return mark(fingerprint(self.table, with_folds) + cleaned, self.pseudo)

    @cached_property
    def spec(self) -> InputSpec:
        """Input of the network; rows and bins are those of the source."""
        source = self._opened.source
        given = {key.name: self.data[key.name] for key in fields(InputSpec) if key.name in self.data}
        if LAYOUTS[self.data["layout"]].integrates and source.rows < 2:
            msg = (
                f"data.layout={self.data['layout']} integrates along the rows of a panel, and those of {self.root} "
                f"have {source.rows}: set data.layout=channel"
            )
            raise SetiError(msg)
        fan = given["dedoppler"]
        given["dedoppler"] = fan | {"gap": scale_gap(fan["gap"], source.rows)}
        return InputSpec(**given, rows=source.rows, bins=source.bins)

    @cached_property
    def train_set(self) -> CadenceDataset:
        """Cadences of the other folds, then test cadences with pseudo-labels, transformed."""
        labelled = self._dataset(self.table["fold"] != self.fold, self.augment)
        if self._original is not None:
            labelled.uncleaned = self._uncleaned("train", labelled.source)
        if self.pseudo is None:
            return labelled
        panels = panels_to_read(self.data["panels"], self.augment)
        choices = {name: self.data[name] for name in ("packed", "pack_dir", "on_error")}
        size = labelled.source.rows, labelled.source.bins
        opened = open_split(self.root, "test", self.pseudo.ids, panels, size=size, **choices)
        source = JoinedCadences(labelled.source, opened.source)
        probs = pd.Series(self.pseudo.targets, index=self.pseudo.ids)[opened.source.ids]
        train_set = CadenceDataset(source, np.concatenate([labelled.targets, probs]), self.spec, self.augment)
        if labelled.uncleaned is not None:
            test = self._uncleaned("test", opened.source)
            train_set.uncleaned = replace(test, source=JoinedCadences(labelled.uncleaned.source, test.source))
        return train_set

    def _uncleaned(self, split: str, cleaned: CadenceSource) -> Uncleaned:
        """Training cadences of a split as they were before they were cleaned."""
        original = open_uncleaned(self._original, split, cleaned, self.data["packed"])
        return Uncleaned(original, self.data["uncleaned"])

    @property
    def train_labelled(self) -> int:
        """Number of labelled cadences to train on; the train set has them first."""
        return int((self.table["fold"] != self.fold).sum())

    @property
    def epoch_length(self) -> int:
        """Number of cadences in an epoch."""
        weight = 1.0 if self.pseudo is None else self.pseudo.weight
        return epoch_length(self.train_labelled, len(self.train_set) - self.train_labelled, weight)

    @cached_property
    def val_set(self) -> CadenceDataset:
        """Cadences of the held-out fold, not transformed."""
        return self._dataset(self.table["fold"] == self.fold, None)

    def _dataset(self, part: pd.Series, augment: dict[str, Any] | None) -> CadenceDataset:
        source = self._opened.source.take(np.flatnonzero(part))  # the source has the table's rows
        return CadenceDataset(source, self.table.loc[part, "target"].to_numpy(), self.spec, augment)

    @property
    def kept_bytes(self) -> int:
        """Bytes that the cadences take on the Trainer's device; 0 where they are not kept there.

        Raises:
            SettingsError: they have to be kept there, and cannot.
        """
        choice = self.data.get("keep_on_device", "false")
        if self.on_device:
            return kept.choose(choice, self._sources, self.trainer.strategy.root_device)
        if choice == "true":
            msg = (
                "data.keep_on_device=true, but images are made on the host here: add data.augment_on=device, or leave "
                "it out"
            )
            raise SettingsError(msg)
        return 0

    @property
    def _sources(self) -> list[CadenceSource]:
        return [self.train_set.source, self.val_set.source]

    def keep(self) -> None:
        """Load the cadences to the Trainer's device, where `kept_bytes` says so."""
        if self.kept is None and self.kept_bytes:
            self.kept = kept.load(self._sources, self.trainer.strategy.root_device)
            self.train_set.kept_from, self.val_set.kept_from = 0, len(self.train_set)

    def release(self) -> None:
        """Free the device of the cadences."""
        self.kept = self.train_set.kept_from = self.val_set.kept_from = None

    @property
    def batches(self) -> tuple[int, int]:
        """Batches of an epoch, and of its validation."""
        share = self.share
        return share.training_batches(self.epoch_length), len(share.validation_batches(len(self.val_set)))

    @property
    def share(self) -> Share:
        """Part of every batch that this process has."""
        return Share(self.batch_size, ranks.rank(), ranks.count())

    def train_dataloader(self) -> DataLoader:
        """Shuffled batches `(images or panels, targets, indices)`; a last batch of one is dropped.

        Batch normalisation cannot train on one image, nor mixup blend it. Several processes divide every batch.
        """
        share, length = self.share, self.epoch_length
        sampler = EpochSampler(
            self.train_set.targets,
            (self.seed, self.fold),
            self.data["balanced"],
            self.first_epoch,
            min(self.first_batch * share.batch, length),
            self.train_labelled,
            1.0 if self.pseudo is None else self.pseudo.weight,
            share,
        )
        drop_last = share.count == 1 and share.training_batches(length) * share.batch < length
        self.train_set.on_device = self.on_device
        workers = self.data["num_workers"]
        return make_loader(self.train_set, share.size, workers, sampler=sampler, drop_last=drop_last)

    def val_dataloader(self) -> DataLoader:
        """Batches of the held-out fold, in the table's order; several processes divide its rows."""
        share = self.share
        self.val_set.on_device = self.on_device
        options = {} if share.count == 1 else {"batch_sampler": share.validation_batches(len(self.val_set))}
        return make_loader(self.val_set, share.size, self.data["num_workers"], **options)

    def held_out_rows(self) -> CadenceDataset:
        """Held-out cadences that this process predicts: `share.rows` of the held-out fold."""
        held_out, share = self.val_set, self.share
        if share.count == 1:
            return held_out
        rows = share.rows(len(held_out))
        return CadenceDataset(
            held_out.source.take(rows), held_out.targets[rows], self.spec, on_device=held_out.on_device
        )
