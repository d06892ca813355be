"""Networks, losses, optimisers and the LightningModule."""
