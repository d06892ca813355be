"""Reports on experiments: figures, tables and galleries.

`cross_validation` reports an experiment, `gallery` chooses cadences and draws them with `waterfalls`; `pages` writes
pages for the browser, whose `labels` are read back; `score_plots` and `training_plots` draw curves; `figures` saves any
figure; `data_check` prints the findings of a data check.
"""
