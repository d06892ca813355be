"""Pages for the browser: one HTML file with its style and script, no server, no network.

`report` writes a page: `experiment_facts` collects an experiment's numbers and figures, `comparison` and `correlation`
set several side by side, `stack_facts` and `study_facts` add a stack or a search for settings. `plots` draws figures.
`ranking` joins scores with what is known of each cadence, `cadences` chooses those of the gallery; `scan` writes the
page of scans, whose gallery is that of `events`. `images` encodes, `image_files` divides images between the page and
files next to it, and `rendering` fills `report.html.j2` or `scan.html.j2` with `report.css` and `report.js`.
"""
