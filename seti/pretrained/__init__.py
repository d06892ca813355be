"""Released networks: a folder each, `<name>/`, with plain weights, `release.json` and the model card's numbers.

`seti.models.release_files` reads and writes the files, `seti.models.released` builds the networks; `make weights`
trains them.
"""
