"""Dataset of a stream: order, workers, types, resuming."""

import numpy as np
import pytest
import torch

from seti.dataloading.stream import StreamDataset, stream_loader
from seti.simulation.stream import draw_stream_cadence


def batches(first, count, workers=0, **options):
    dataset = StreamDataset(5, first, count, rows=16, **options)
    return list(stream_loader(dataset, 4, workers))


def test_batches_hold_consecutive_cadences_of_the_stream():
    panels, labels, indices = batches(20, 6)[1]
    assert indices.tolist() == [24, 25]
    for got, label, index in zip(panels, labels, indices.tolist(), strict=True):
        drawn = draw_stream_cadence(5, index, rows=16)
        assert np.array_equal(got.numpy(), drawn.data.astype(np.float32))
        assert label == drawn.label


def test_workers_share_the_cadences():
    for alone, shared in zip(batches(0, 12), batches(0, 12, workers=2), strict=True):
        assert all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True))


def test_a_later_start_goes_on_where_an_earlier_one_stopped():
    whole, rest = batches(0, 12), batches(8, 4)
    assert torch.equal(whole[2][0], rest[0][0])


def test_half_precision_holds_raw_power_too():
    for panels, _, _ in batches(0, 60, dtype=torch.float16):
        assert panels.dtype == torch.float16
        assert torch.isfinite(panels).all()


def test_an_item_past_the_end_is_refused():
    with pytest.raises(IndexError):
        StreamDataset(0, 0, 3, rows=16)[3]
