"""The LightningModule: backbone, loss, metrics, optimiser, schedule."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics.classification import BinaryAUROC

from seti.errors import SetiError
from seti.models.backbone import Backbone
from seti.models.loss import training_loss
from seti.models.optimiser import make_optimizer, make_schedule
from seti.transforms.batch import prepare
from seti.transforms.cutout import Cutout
from seti.transforms.input_spec import InputSpec
from seti.transforms.mixup import Mixing
from seti.transforms.panels import Panels
from seti.utils.safe_load import read_checkpoint


class CadenceClassifier(pl.LightningModule):
    """Rank cadences by how likely they hold a needle.

    Args:
        spec: the fields of `InputSpec`, as plain values.
        model: the `model` settings; `pretrained` and `weights` say what to start from.
        optimizer: the `optimizer` settings.
        schedule: the `schedule` settings.
        mixup: the `mixup` settings, see `seti.transforms.mixup.Mixing`; None mixes nothing.
        cutout: the fields of `seti.transforms.cutout.Cutout`; None hides nothing.
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
            # Checkpoints of earlier versions do not have these.
            **{key: model.get(key) for key in ("pool", "drop_rate", "drop_path", "stem_stride")},
        )
        # Convolutions on a CPU, and in half precision on a GPU, are faster with channels innermost.
        self.backbone.to(memory_format=torch.channels_last)
        # thresholds=None: exact, as scikit-learn; binned AUC is off by up to 0.02.
        self.val_auc = BinaryAUROC(thresholds=None)

    def forward(self, images: Tensor) -> Tensor:
        """Give one logit an image: `(B, C, H, W)` to `(B,)`."""
        return self.backbone(images.contiguous(memory_format=torch.channels_last))

    def on_after_batch_transfer(
        self, batch: tuple[Tensor | Panels, Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Make images of a batch that comes as panels, on the device that it has been moved to."""
        inputs, targets, indices = batch
        return prepare(inputs, self.image_maker), targets, indices

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch, cut out and mixed where that is on."""
        images, targets = self._disturb(batch[0], batch[1])
        loss = self.loss(self(images).float(), targets)
        self.log("loss", loss, on_step=True, on_epoch=False, prog_bar=True, batch_size=len(targets))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss

    def _disturb(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What training does to a batch beyond moving its images: `(B, C, H, W)` and `(B,)`, soft behind mixing.

        Not in `on_after_batch_transfer`: the seed of a batch is set behind that.
        """
        images = self.cutout(images)
        # From the Trainer, which a resumed run has counted on; a step without one is taken for the first epoch's.
        epochs = self.trainer.max_epochs if self._trainer else None
        return self.mixing(images, targets) if self.mixing.mixes(self.current_epoch, epochs) else (images, targets)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """What training lowers: a scalar from `(B,)` logits and `(B,)` soft targets. Validation has its own."""
        return training_loss(logits, targets, **(self.hparams["loss"] or {}))

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Accumulate loss and exact AUC over the held-out fold."""
        images, targets, _ = batch
        logits = self(images).float()
        loss = nn.functional.binary_cross_entropy_with_logits(logits, targets)
        # Probabilities, not logits: torchmetrics takes a batch of logits that all lie in 0..1 for probabilities.
        self.val_auc.update(logits.sigmoid(), targets.long())
        self.log("val_loss", loss, on_epoch=True, prog_bar=True, batch_size=len(targets))
        self.log("val_auc", self.val_auc, on_epoch=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        """Stop a fold whose weights are no longer numbers: its AUC would read 0.0, without a word.

        Raises:
            SetiError: saying what to lower.
        """
        loss = self.trainer.callback_metrics["val_loss"]
        if not torch.isfinite(loss):
            msg = (
                f"the validation loss is {loss.item()} in epoch {self.current_epoch}: training diverged; lower "
                f"optimizer.lr={self.hparams['optimizer']['lr']:g}, or set trainer.precision=32"
            )
            raise SetiError(msg)

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimiser of what is trained, and its schedule, stepped every batch."""
        optimizer = make_optimizer(self.backbone.network, self.hparams["optimizer"], fused=self._can_fuse())
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = make_schedule(optimizer, self.hparams["schedule"], steps, self.trainer.max_epochs)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _can_fuse(self) -> bool:
        """Whether the optimiser may step all tensors in one kernel.

        With float16 it then unscales the gradients by itself, when Lightning can no longer clip them; Lightning
        refuses to in bfloat16 as well.
        """
        clips = self.trainer.gradient_clip_val and self.trainer.precision in ("16-mixed", "bf16-mixed")
        return self.device.type in ("cpu", "cuda") and not clips


def load_classifier(path: Path) -> CadenceClassifier:
    """Load trained weights for prediction; nothing is fetched and no code in the file is run.

    Raises:
        SetiError: the file is missing, damaged, or no checkpoint of this program.
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
    except Exception as error:  # another program's values can fail anywhere in the network
        reason = " ".join(str(error).split())[:200]
        msg = f"checkpoint {path} cannot be loaded ({type(error).__name__}: {reason}): {fix}"
        raise SetiError(msg) from error
    return classifier.eval()
