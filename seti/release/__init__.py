"""Training of the released networks, on a stream of simulated cadences that never repeats: `make weights`.

`settings`: sizes and limits; `replay`: recent cadences on the device, drawn again with other moves; `members`: the networks,
all trained at once; `progress`: limits, speed and checkpoints; `evaluation`: scores by SNR, drift and shape, calibration;
`train`: the program; `card`: the model card.
"""
