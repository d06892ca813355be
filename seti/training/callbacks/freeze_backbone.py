"""Training of the head alone for the first epochs."""

import pytorch_lightning as pl


class FreezeBackbone(pl.Callback):
    """Keep the backbone's weights and batch statistics fixed for the first epochs.

    A head that is still random would send large gradients into pretrained weights. The optimiser holds all
    parameters from the start and skips those without a gradient, so the schedule runs over the whole training.

    Args:
        epochs: how many.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze or unfreeze here, too: a run resumed inside an epoch skips that epoch's start."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze or unfreeze, by the epoch's number alone."""
        pl_module.backbone.freeze(trainer.current_epoch < self.epochs)
