"""LightningModule with backbone, loss, metrics, optimiser and schedule."""

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics.classification import BinaryAUROC

from seti.errors import SetiError
from seti.models.backbone import Backbone
from seti.models.compiled_network import run_compiled
from seti.models.loss import training_loss
from seti.models.optimiser import make_optimizer, make_schedule
from seti.models.timm_network import use_channels_last
from seti.transforms.batch import prepare
from seti.transforms.cutout import Cutout
from seti.transforms.input_spec import InputSpec
from seti.transforms.mixup import Mixing
from seti.transforms.panels import Panels
from seti.utils.safe_load import read_checkpoint


class CadenceClassifier(pl.LightningModule):
    """Binary classifier of cadences: needle or not.

    Args:
        spec: the fields of `InputSpec`, as plain values.
        model: the `model` settings, including the initial weights (`pretrained`, `weights`).
        optimizer: the `optimizer` settings.
        schedule: the `schedule` settings.
        mixup: the `mixup` settings, see `seti.transforms.mixup.Mixing`; None turns mixing off.
        cutout: the fields of `seti.transforms.cutout.Cutout`; None turns cutout off.
        loss: the `loss` settings; None is plain cross-entropy.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        model: dict[str, Any],
        optimizer: dict[str, Any],
        schedule: dict[str, Any],
        mixup: dict[str, Any] | None,
        cutout: dict[str, Any] | None = None,
        loss: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        # Plain values only: Lightning reads checkpoints with weights_only=True.
        self.save_hyperparameters()
        self.spec = InputSpec(**spec)
        self.image_maker = self.spec.image_maker()
        self.mixing, self.cutout = Mixing(**(mixup or {})), Cutout(**(cutout or {}))
        self.backbone = Backbone(
            model["backbone"],
            self.image_maker.channels,
            self.spec.image_shape,
            pretrained=model["pretrained"],
            weights=model["weights"],
            freeze=model["freeze_backbone"],
            # Absent from checkpoints of earlier versions.
            **{key: model.get(key) for key in ("pool", "drop_rate", "drop_path", "stem_stride")},
        )
        # Convolutions on a CPU, and in half precision on a GPU, are faster with channels innermost.
        use_channels_last(self.backbone)
        # thresholds=None: exact, as in scikit-learn; a binned AUC is off by up to 0.02.
        self.val_auc = BinaryAUROC(thresholds=None)
        self.compiled_batch: int | None = None  # size of the training batches that run compiled; None: none do

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(B, C, H, W)` to logits `(B,)`.

        Only training batches of `compiled_batch` run compiled: a smaller last one, validation, and epochs that train
        the head alone would each be compiled by itself, which takes longer than it saves.
        """
        images = images.contiguous(memory_format=torch.channels_last)
        images = images.double() if self._is_double else images
        if self.training and len(images) == self.compiled_batch and not self.backbone.frozen:
            return run_compiled(self.backbone, images)
        return self.backbone(images)

    @property
    def _is_double(self) -> bool:
        return next(self.backbone.parameters()).dtype == torch.float64

    def on_after_batch_transfer(
        self, batch: tuple[Tensor | Panels, Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Turn a batch of panels into images on the device it was moved to."""
        inputs, targets, indices = batch
        # Not an attribute of this module, which averages of weights copy.
        kept = getattr(self._trainer.datamodule, "kept", None) if self._trainer else None
        return prepare(inputs, self.image_maker, kept), targets, indices

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        """Compute the loss of one batch, after cutout and mixing."""
        images, targets = self._augment(batch[0], batch[1])
        loss = self.loss(self(images).float(), targets)
        self.log("loss", loss, on_step=True, on_epoch=False, prog_bar=True, batch_size=len(targets))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets), sync_dist=True)
        return loss

    def _augment(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Apply cutout and mixing to images `(B, C, H, W)` and targets `(B,)`.

        Mixing makes targets soft. This is not part of `on_after_batch_transfer`, because the seed of a batch is set
        only after that hook.
        """
        images = self.cutout(images)
        # The Trainer keeps counting epochs across a resume; without a Trainer this is the first epoch.
        epochs = self.trainer.max_epochs if self._trainer else None
        return self.mixing(images, targets) if self.mixing.mixes(self.current_epoch, epochs) else (images, targets)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the training loss of logits `(B,)` and soft targets `(B,)`."""
        return training_loss(logits, targets, **(self.hparams["loss"] or {}))

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Accumulate loss and exact AUC over the held-out fold, of all processes together."""
        images, targets, _ = batch
        logits = self(images).float()
        loss = nn.functional.binary_cross_entropy_with_logits(logits, targets)
        # Probabilities, because torchmetrics would mistake logits that all lie in 0..1 for probabilities.
        self.val_auc.update(logits.sigmoid(), targets.long())
        self.log("val_loss", loss, on_epoch=True, prog_bar=True, batch_size=len(targets), sync_dist=True)
        self.log("val_auc", self.val_auc, on_epoch=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        """Stop a fold whose loss is not finite; torchmetrics would silently report an AUC of 0.0.

        Raises:
            SetiError: the validation loss is not finite; the message names the settings to change.
        """
        loss = self.trainer.callback_metrics["val_loss"]
        if not torch.isfinite(loss):
            msg = (
                f"the validation loss is {loss.item()} in epoch {self.current_epoch}: training diverged; lower "
                f"optimizer.lr={self.hparams['optimizer']['lr']:g}, or set trainer.precision=32"
            )
            raise SetiError(msg)

    def configure_optimizers(self) -> dict[str, Any]:
        """Create the optimiser and its schedule, which is stepped every batch."""
        optimizer = make_optimizer(self.backbone.network, self.hparams["optimizer"], fused=self._can_fuse())
        steps = int(self.trainer.estimated_stepping_batches)
        epochs = self.trainer.max_epochs
        if epochs > 0:  # a limit of steps may end the last one early
            epochs = steps / math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        scheduler = make_schedule(optimizer, self.hparams["schedule"], steps, epochs)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _can_fuse(self) -> bool:
        """True if the optimiser may update all tensors in one kernel.

        In float16 a fused optimiser unscales the gradients itself, too late for Lightning to clip them. Lightning
        refuses to clip with a fused optimiser in bfloat16 as well.
        """
        clips = self.trainer.gradient_clip_val and self.trainer.precision in ("16-mixed", "bf16-mixed")
        return self.device.type in ("cpu", "cuda") and not clips


def load_classifier(path: Path) -> CadenceClassifier:
    """Load a trained classifier for prediction.

    Nothing is downloaded, and no code in the file is run.

    Raises:
        SetiError: the file is missing, damaged, or not a checkpoint of this program.
    """
    fix = "train this fold again with force=true"
    checkpoint = read_checkpoint(path, fix)
    try:
        settings = dict(checkpoint["hyper_parameters"])
        settings["model"] = settings["model"] | {"pretrained": False, "weights": None}
        classifier = CadenceClassifier(**settings)
        classifier.load_state_dict(checkpoint["state_dict"])
    except SetiError as error:
        msg = f"checkpoint {path}: {error}"
        raise SetiError(msg) from error
    except Exception as error:  # settings of another program can fail anywhere in the network
        reason = " ".join(str(error).split())[:200]
        msg = f"checkpoint {path} cannot be loaded ({type(error).__name__}: {reason}): {fix}"
        raise SetiError(msg) from error
    return classifier.eval()
