"""From panels to the network's input, on the host or on the device.

In the order in which data flow: `panel_augmentation` and `injection` change cadences while training, `panels` holds
them on their way into a batch, `views` refer to those that lie on a device, `normalisation` scales panels, `geometric`
builds the random transforms, `warp` applies them to one plane with OpenCV and `resampling` to batches with torch,
`dedoppler` integrates along drift rates, `gaps` are the rows between panels, `layouts` arranges panels as channels
(`layout_names` has their names), `image` makes one image and `batch` a batch of them, `cutout` and `mixup` change
batches; `input_spec` records the input of a network.
"""
