"""Data sets on disk, with numpy and pandas only.

In the order in which data flow: `cadence` reads one file, `table_text` and `tables` the csv files that users bring,
`competition` the tables and the layout of a data set, `cleaned_set` knows one without repeated backgrounds, `folds`
splits it, `groups` says what folds must not divide, `pack_writer` and `pack_reader` keep a split in one file,
`listing` finds files with a table and without one (`loose`), `sources` says what a source of cadences is, `screening`
finds damaged cadences, `splits` opens a split from files or pack, `oddities` looks for panels that teach nothing,
`integrity` lists everything that is wrong.

Observations have modules of their own: `observation` reads filterbank files (`hdf5_filterbank`, `sigproc`) by coarse
channel (`coarse_channels`), `observation_cadence` finds the six that belong together, `filterbank_writer` writes them.
"""
