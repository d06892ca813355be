"""Networks, loss, optimiser, learning-rate schedule and the LightningModule.

`classifier` is the LightningModule; `backbone` wraps timm, with `gem` pooling; `needle_net` is a network for de-Doppler
planes; `loss`; `optimiser` has the schedules, too.
"""
