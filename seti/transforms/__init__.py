"""From panels to the network's input, on the host or on the device.

In the order in which data flow: `panels` and `injection` change cadences while training, `normalisation` scales
panels, `dedoppler` integrates along drift rates, `geometric` and `warp` move and resize, `image` makes one image and
`batch` a batch of them, `cutout`, `mixup` and `cutmix` change batches; `input_spec` records what a network takes in.
"""
