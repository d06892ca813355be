"""Reports on experiments: figures, tables and galleries.

`cross_validation` reports an experiment, `gallery` chooses cadences and draws them with `waterfalls`; `pages` writes
pages for the browser, whose `labels` are read back, and `labelled_events` draws those of events; `score_plots` and
`training_plots` draw curves, `tuning` reports a search for settings; `figures` saves any figure; `data_check` prints
the findings of a data check.
"""
