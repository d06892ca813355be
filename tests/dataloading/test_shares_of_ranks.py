"""Shares that several processes have of a fold's cadences."""

import numpy as np
import pytest

from seti.dataloading.sampler import EpochSampler
from seti.dataloading.shares import Share

LENGTHS = [4, 7, 8, 16, 17, 19, 23, 48, 101]


def shares(batch, count):
    return [Share(batch, rank, count) for rank in range(count)]


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("length", LENGTHS)
def test_processes_divide_every_batch_without_overlap(length, count):
    batch = 4 * count
    items = np.random.default_rng(0).permutation(length)
    parts = [share.of_training(items) for share in shares(batch, count)]
    assert {len(part) for part in parts} == {shares(batch, count)[0].training_length(length)}
    for number in range(shares(batch, count)[0].training_batches(length)):
        own = [part[number * 4 : (number + 1) * 4] for part in parts]
        assert len({len(part) for part in own}) == 1  # of one size, as their gradients weigh the same
        assert len(own[0]) > 1
        taken = np.concatenate(own)
        assert len(set(taken)) == len(taken)
        assert set(taken) <= set(items[number * batch : (number + 1) * batch])  # the batch of one process
    left = length - sum(map(len, parts))
    assert left < 2 * count


def test_one_process_has_everything():
    items = np.arange(9)
    assert Share(4).of_training(items) is items
    assert Share(4).training_length(9) == 9
    assert [Share(4).training_batches(length) for length in (1, 4, 5, 6, 8, 9, 10)] == [1, 1, 1, 2, 2, 2, 3]


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("length", LENGTHS)
def test_held_out_rows_are_all_there_once_and_come_back_in_order(length, count):
    batch = 4 * count
    table = np.random.default_rng(0).random((length, 2))
    divided = [share.validation_batches(length) for share in shares(batch, count)]
    assert len({len(batches) for batches in divided}) == 1  # processes meet after every batch
    assert all(1 <= len(rows) <= 4 for batches in divided for rows in batches)
    parts = []
    for share, batches in zip(shares(batch, count), divided, strict=True):
        rows = np.concatenate(batches)
        np.testing.assert_array_equal(rows, share.rows(length))
        parts.append(table[rows])
    np.testing.assert_array_equal(shares(batch, count)[0].put_together(parts), table)


@pytest.mark.parametrize("balanced", [False, True])
def test_processes_draw_the_cadences_and_seeds_of_one_process_and_resume_there(balanced):
    targets = np.arange(37) % 2

    def drawn(share, done=0):
        return list(EpochSampler(targets, (1, 0), balanced, first_epoch=3, done=done, share=share))

    alone = drawn(Share(8))
    parts = [drawn(share) for share in shares(8, 2)]
    together = [item for k in range(0, 20, 4) for part in parts for item in part[k : k + 4]]
    assert together == alone[:36]
    assert [drawn(share, done=16) for share in shares(8, 2)] == [part[8:] for part in parts]
    assert len(EpochSampler(targets, (1, 0), balanced, done=16, share=Share(8, 1, 2))) == 18
