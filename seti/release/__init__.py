"""Training of the released networks on an endless stream of simulated cadences.

`make weights` runs it. `settings`: networks, sizes, limits. `replay`: recent cadences on the device, drawn again with
other moves. `members`: the networks, all trained at once. `progress`: limits, speed, checkpoints. `training`: one run,
which goes on where it was stopped. `fixed_sets` and `evaluation`: scores by SNR, drift and shape, and calibration.
`publish`: writes a release. `train`: the program. `card`: the model card.
"""
