"""Released networks: a folder each, with plain weights and their record.

`seti.models.release_files` reads and writes the files, `seti.models.released` builds the networks; `make weights`
trains them.
"""
