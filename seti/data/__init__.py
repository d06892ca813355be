"""Data sets on disk, with numpy and pandas only.

In the order in which data flow: `cadence` reads one file, `competition` the tables and the layout of a data set,
`folds` splits it, `pack_writer` and `pack_reader` keep a split in one file, `sources` chooses between files and pack,
`screening` leaves damaged cadences out, `integrity` lists everything that is wrong.
"""
