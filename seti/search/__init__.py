"""Search of observations: six filterbank files in, events out.

`settings` what is searched for; `channel` one coarse channel, from its six panels to events; `selection` the coarse
channels and frequency ranges of a scan; `scan_folder` its files; `coarse_channel` one channel as a task that is done
once; `borders` signals that cross from one coarse channel into the next; `events` the table of all signals; `turboseti`
the same in turboSETI's formats; `cutouts` the data around every event; `recovery` recall of signals that are known;
`run` all of it.
"""
