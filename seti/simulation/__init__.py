"""Simulated cadences: signals, background emission and spectra.

`settings` and `validation` hold what may be asked for, `plan` draws what each cadence contains, `signals`, `emission`
and `spectra` make it, `dataset` writes a data set.

Observations: `population` draws needles and decoys, `narrowband` and `bandpass` make signals and noise, `observation`
writes six filterbank files, `injection` adds signals to copies of given ones, `truth` tabulates them.
`observation_snippets` makes data sets of 16 rows. `products` chooses what is made.

Other generators: `kinds` names what a cadence may hold, `setigen_cadences`, `crowded` and `radiometer` draw cadences of
different making, `generated` writes data sets of them; `one_by_one` is common to those whose backgrounds are not
shared. `stream` draws cadences without end, with everything about them random, from the parts in `wide`.
"""
