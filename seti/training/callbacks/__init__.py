"""Lightning callbacks of a fold's training; `seti.training.build` puts them together.

`history` (metrics, seeds, early stopping), `dead_fold`, `freeze_backbone`, `save_on_signal`, `step_limit`,
`weight_averaging`.
"""
