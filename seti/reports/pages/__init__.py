"""Pages for the browser: one HTML file with its style and script, no server, no network.

`report` writes a page: `experiment_facts` collects an experiment's numbers and figures, `comparison` sets several side
by side, `cadences` chooses those of the gallery, `images` encodes them, and `rendering` fills `report.html.j2` with
`report.css` and `report.js`.
"""
