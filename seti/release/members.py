"""LightningModule of all members of a release, trained at once on one stream.

Reading, whitening and de-Doppler planes cost more than a small network's step, and all members share them. A member
never trains on the cadences of its fold, so its scores of them are honest.
"""

import copy
import math
import time
from typing import Any

import pytorch_lightning as pl
import timm
import torch
from torch import Tensor, nn

from seti.models import needle_net  # noqa: F401  (registers its networks with timm)
from seti.release.replay import Planes, Replay
from seti.release.settings import FOLDS, SPEC, Settings

START = 0.1  # learning rate of the first step, relative to the highest


class Members(pl.LightningModule):
    """Networks of a release, their moving averages, and the progress of their training.

    Args:
        settings: the fields of `Settings`, as plain values.
        spec: the fields of `InputSpec`.
    """

    def __init__(self, settings: dict[str, Any], spec: dict[str, Any] = SPEC) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.settings = Settings(**settings)
        self.planes = {how: Planes(spec | {"normalise": how}) for how in self._normalisations()}
        torch.manual_seed(self.settings.seed)
        self.keys = [(name, fold) for name, network in self.settings.networks.items() for fold in network["folds"]]
        self.networks = nn.ModuleList(_create(self.settings.networks[name]) for name, _ in self.keys)
        self.averages = copy.deepcopy(self.networks).requires_grad_(False)
        self.replay = Replay(max(self.settings.replay, 1))
        self.seen, self.steps, self.before = 0, 0, 0.0  # cadences; steps; seconds of earlier runs
        self.began: float | None = None
        self.pairs: tuple | None = None  # tensors of averages and networks
        self.train()

    def normalise_of(self, name: str) -> str:
        """Normalisation of a network's panels."""
        return self.settings.networks[name].get("normalise", self.hparams["spec"]["normalise"])

    def _normalisations(self) -> list[str]:
        return list(dict.fromkeys(self.normalise_of(name) for name in self.settings.networks))

    def train(self, mode: bool = True) -> "Members":
        """Switch the mode of the networks; their averages stay in evaluation mode."""
        super().train(mode)
        self.averages.eval()
        return self

    @property
    def elapsed(self) -> float:
        """Seconds of training, of earlier runs too."""
        return self.before + (time.monotonic() - self.began if self.began is not None else 0.0)

    @property
    def progress(self) -> float:
        """Share of the training that is done, by the nearer limit: 0 to 1."""
        shares = [0.0]
        if self.settings.cadences:
            shares.append(self.seen / self.settings.cadences)
        if self.settings.minutes:
            shares.append(self.elapsed / 60 / self.settings.minutes)
        return min(max(shares), 1.0)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Train on new cadences, and then on earlier ones with other moves."""
        if self.began is None:
            self.began = time.monotonic()
        panels, targets, indices = batch
        panels = torch.stack([planes.normalisation(panels).half() for planes in self.planes.values()], dim=1)
        folds = indices % FOLDS
        if self.settings.uses > 1:
            self.replay.add(panels, targets, folds)
        for use in range(self.settings.uses):
            self._update((panels, targets, folds) if use == 0 else None, len(targets))
        self.seen += len(targets)

    def _update(self, cadences: tuple[Tensor, Tensor, Tensor] | None, size: int) -> None:
        generator = torch.Generator(self.device)
        generator.manual_seed(self.settings.seed * 1_000_003 + self.steps)
        panels, targets, folds = self.replay.draw(size, generator) if cadences is None else cadences
        planes = {
            how: planes.moved(panels[:, number].float(), generator)
            for number, (how, planes) in enumerate(self.planes.items())
        }
        smooth = targets.float() * (1 - self.settings.smoothing) + self.settings.smoothing / 2
        optimizer = self.optimizers()
        for group in optimizer.param_groups:
            group["lr"] = self.settings.lr * rate(self.progress, self.settings.rise)
        loss, parts = 0.0, {}
        for (name, fold), network in zip(self.keys, self.networks, strict=True):
            how, own = self.normalise_of(name), folds != fold
            if (how, fold) not in parts:
                parts[how, fold] = planes[how][own], smooth[own]
            seen, wanted = parts[how, fold]
            if not len(seen):  # in a tiny batch; the mean of nothing is not a number
                continue
            loss = loss + nn.functional.binary_cross_entropy_with_logits(network(seen).squeeze(1).float(), wanted)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.steps += 1
        self._average()
        self.last_loss = loss.detach() / len(self.keys)

    @torch.no_grad()
    def _average(self) -> None:
        """Follow weights and batch statistics, faster in the beginning, as `MovingAverage` does."""
        share = 1 - min(self.settings.decay, (1 + self.steps) / (10 + self.steps))
        if self.pairs is None:  # collected once, on the device: there are hundreds
            both = zip(self.averages.state_dict().values(), self.networks.state_dict().values(), strict=True)
            self.pairs = tuple(zip(*(pair for pair in both if pair[0].is_floating_point()), strict=True))
        torch._foreach_lerp_(*map(list, self.pairs), share)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score a fixed set."""
        panels, targets = batch
        scored = self.logits(panels).cpu(), targets.cpu()
        self.scored.setdefault(dataloader_idx, []).append(scored)

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last validation."""
        self.scored: dict[int, list[tuple[Tensor, Tensor]]] = {}

    @torch.no_grad()
    def logits(self, panels: Tensor) -> Tensor:
        """Logits `(B, members)` of panels as they were read, by the averages of the weights."""
        planes = {how: planes.usual(panels) for how, planes in self.planes.items()}
        members = zip(self.keys, self.averages, strict=True)
        return torch.cat([network(planes[self.normalise_of(name)]).float() for (name, _), network in members], dim=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Create one optimiser for all members."""
        settings = self.settings
        return torch.optim.AdamW(
            self.networks.parameters(), settings.lr, weight_decay=settings.weight_decay, fused=True
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the progress."""
        checkpoint["progress"] = {"seen": self.seen, "steps": self.steps, "elapsed": self.elapsed}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the progress."""
        progress = checkpoint["progress"]
        self.seen, self.steps, self.before = progress["seen"], progress["steps"], progress["elapsed"]


def _create(network: dict[str, Any]) -> nn.Module:
    created = timm.create_model(network["backbone"], in_chans=6, num_classes=1, **network.get("options", {}))
    return created.to(memory_format=torch.channels_last)


def rate(progress: float, rise: float) -> float:
    """OneCycle's learning rate relative to the highest, by the share that is done.

    Smith and Topin 2018, arXiv:1708.07120: a rise from `START` and a fall to 0, both half a cosine.
    """
    if progress < rise:
        return START + (1 - START) * (1 - math.cos(math.pi * progress / rise)) / 2
    return (1 + math.cos(math.pi * (progress - rise) / (1 - rise))) / 2
