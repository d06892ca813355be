"""Training of one fold, from its configuration to its result; the learning-rate range test.

`fold` trains a fold and writes its files, with `build` (network, Trainer, callbacks), `checkpoints`, `retries`,
`batch_size` and `batch_size_tuner`, `precision`, `refusals` (errors that follow from the Trainer's settings), and
`held_out`, the table of out-of-fold predictions; `lr_range` is the range test.
"""
