"""Search of observations: six filterbank files in, events out.

`channel` searches one coarse channel within the limits of `settings`: `flatten` divides levels out, `tree` sums along
drift rates, `hits` finds peaks, `tracks` fits them to all panels and masks them, `decide` compares ON with OFF,
`stamps` cuts out what a judge looks at. `compiled` keeps their inner loops compiled between starts,
`warm_up` has them compiled before the first one.

`run` scans observations: `selection` chooses coarse channels and frequency ranges, `scan_folder` knows the scan's
files, `parts` spreads the channels over processes, `coarse_channel` searches one of them once, `borders` joins signals
that cross into the next, `events` makes the table of all signals, `turboseti` its formats, `cutouts` the data around
events, `recovery` the recall of known signals.
"""
