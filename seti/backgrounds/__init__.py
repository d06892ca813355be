"""Backgrounds that repeat: cadences whose noise was cut from the same wider spectrum.

In the order in which data flow: `cadences` opens both splits, `fingerprints` computes a key for every bin and
`fingerprinting` does so for all cadences, `matching` finds pairs that share keys, `fields` joins pairs with their
offsets, `verification` compares two cadences panel by panel and `linking` does so for many, `grouping` joins matches
into verified groups, `conclusions` describes every cadence, `table` writes and reads `twins.csv`, `shares` counts twins
across splits and folds. `search` runs the search, and `parts` keeps what a stopped run goes on from. `cleaning`
subtracts the twins of a cadence, `clean_set` writes a data set of the differences, and `original` records what it was
made from.
"""
