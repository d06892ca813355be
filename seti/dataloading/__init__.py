"""Datasets, sampler, DataLoader and LightningDataModule.

`dataset` reads cadences from a source and makes batches, `uncleaned` draws those that a cleaned data set was made from,
`sampler` orders an epoch, `shares` divides it between processes, `loader` builds the DataLoader, `shared_memory` passes
batches from its workers, `kept` loads cadences into a GPU's memory, `datamodule` does all of it for one fold. `stream`
loads cadences that are drawn on the fly instead.
"""
