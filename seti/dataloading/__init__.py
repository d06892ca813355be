"""Datasets, sampler, DataLoader and LightningDataModule."""
