"""Search of one observation: six panels of a coarse channel in, events out.

`channel` searches one coarse channel within the limits of `settings`: `flatten` divides levels out, `tree` sums along
drift rates, `hits` finds peaks, `tracks` fits them to all panels and masks them, `decide` compares ON with OFF,
`stamps` cuts out what a judge looks at.
"""
