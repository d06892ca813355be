"""Folders of experiments: the records that runs write, and their safe reading.

`experiment` knows the paths and the columns of `oof.csv`, `fold_result` is `result.json`, `predictions` is
`predictions.json`, `failure` is `failure.json`; `provenance` has digests and versions, `run_identity` tells whether two
runs train the same fold.
"""
