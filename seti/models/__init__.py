"""Networks, loss, optimiser, learning-rate schedule and the LightningModule."""
