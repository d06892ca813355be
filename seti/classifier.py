"""The LightningModule: backbone, loss, metrics, optimiser, schedule."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics.classification import BinaryAUROC

from seti.backbone import Backbone
from seti.dataset import InputSpec
from seti.errors import SetiError
from seti.mixup import mixup, mixup_loss
from seti.preparation import Panels, prepare
from seti.safe_load import read_checkpoint


class CadenceClassifier(pl.LightningModule):
    """Rank cadences by how likely they hold a needle.

    Args:
        spec: the fields of `InputSpec`, as plain values.
        model: the `model` settings; `pretrained` and `weights` say what to start from.
        optimizer: the `optimizer` settings.
        schedule: the `schedule` settings.
        mixup_alpha: of mixup's Beta distribution, or None.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        model: dict[str, Any],
        optimizer: dict[str, Any],
        schedule: dict[str, Any],
        mixup_alpha: float | None,
    ) -> None:
        super().__init__()
        # Plain values only: Lightning reads checkpoints with weights_only=True.
        self.save_hyperparameters()
        self.spec = InputSpec(**spec)
        self.picture = self.spec.picture()
        self.backbone = Backbone(
            model["backbone"],
            self.picture.channels,
            self.spec.picture_size,
            pretrained=model["pretrained"],
            weights=model["weights"],
            freeze=model["freeze_backbone"],
        )
        # Convolutions on a CPU, and in half precision on a GPU, are faster with channels innermost.
        self.backbone.to(memory_format=torch.channels_last)
        # thresholds=None: exact, as scikit-learn; binned AUC is off by up to 0.02.
        self.val_auc = BinaryAUROC(thresholds=None)

    def forward(self, pictures: Tensor) -> Tensor:
        """Give one logit a picture: `(B, C, H, W)` to `(B,)`."""
        return self.backbone(pictures.contiguous(memory_format=torch.channels_last))

    def on_after_batch_transfer(
        self, batch: tuple[Tensor | Panels, Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Make pictures of a batch that comes as panels, on the device that it has been moved to."""
        inputs, targets, indices = batch
        return prepare(inputs, self.picture), targets, indices

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        """Binary cross-entropy of one batch, with mixup where it is on."""
        pictures, targets, _ = batch
        alpha = self.hparams["mixup_alpha"]
        if alpha is None:
            loss = nn.functional.binary_cross_entropy_with_logits(self(pictures).float(), targets)
        else:
            blended, first, second, share = mixup(pictures, targets, alpha)
            loss = mixup_loss(self(blended).float(), first, second, share)
        self.log("loss", loss, on_step=True, on_epoch=False, prog_bar=True, batch_size=len(targets))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Accumulate loss and exact AUC over the held-out fold."""
        pictures, targets, _ = batch
        logits = self(pictures).float()
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
        """AdamW with OneCycle (Smith & Topin 2017, arXiv:1708.07120), stepped every batch."""
        settings, schedule = self.hparams["optimizer"], self.hparams["schedule"]
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, lr=settings["lr"], weight_decay=settings["weight_decay"], fused=self._can_fuse()
        )
        steps, pct_start = int(self.trainer.estimated_stepping_batches), schedule["pct_start"]
        if pct_start * steps == 1:  # the first step is the peak; torch would divide by the length of the rise, zero
            pct_start *= 1 - 1e-6
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=settings["lr"],
            total_steps=steps,
            pct_start=pct_start,
            div_factor=schedule["div_factor"],
            anneal_strategy="cos",
            cycle_momentum=False,
        )
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
    cure = "train this fold again with force=true"
    checkpoint = read_checkpoint(path, cure)
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
        msg = f"checkpoint {path} cannot be loaded ({type(error).__name__}: {reason}): {cure}"
        raise SetiError(msg) from error
    return classifier.eval()
