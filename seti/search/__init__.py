"""Search of one observation: six panels of a coarse channel in, events out.

`settings` holds what a search looks for; `channel` searches one coarse channel and says what it found.
"""
