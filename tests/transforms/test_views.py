import numpy as np
import pytest
import torch

from seti.transforms.views import Axis, View, Views, put_together

SHAPE = (6, 5, 7)


def moved_both_ways(rng, view, panels):
    """Move a view and the panels that it stands for by the same random steps."""
    for step in rng.integers(4, size=5):
        if step == 0:
            places = rng.permutation(len(panels))[:3] if len(panels) > 3 else rng.permutation(3)
            view, panels = view.pick(places.tolist()), panels[places]
        elif step == 1:
            shift = int(rng.integers(-9, 10))
            view, panels = view.roll(shift), np.roll(panels, shift, axis=-1)
        elif step == 2:
            view, panels = view.flip_time(), panels[:, ::-1]
        else:
            view, panels = view.flip_frequency(), panels[:, :, ::-1]
        assert view.shape == panels.shape
    return (view, panels) if len(panels) == 3 else (view.pick([4, 0, 2]), panels[[4, 0, 2]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_views_are_the_panels_that_they_stand_for(dtype):
    rng = np.random.default_rng(0)
    kept = rng.normal(size=(4, *SHAPE)).astype(dtype)
    given, expected = [], []
    for _ in range(40):
        index = int(rng.integers(4))
        view, panels = moved_both_ways(rng, View.whole(index, SHAPE), kept[index])
        given.append(view)
        expected.append(panels)
    sent = rng.normal(size=(2, 3, 5, 7)).astype(np.float16)
    given[7], given[30] = sent
    expected[7], expected[30] = sent
    batch = put_together(given, torch.from_numpy(sent)).gather(torch.from_numpy(kept))
    assert batch.dtype == torch.from_numpy(kept).dtype
    np.testing.assert_array_equal(batch, np.stack(expected))


def test_a_batch_has_the_wider_type_of_what_is_kept_and_what_is_sent():
    kept, sent = torch.ones(1, *SHAPE, dtype=torch.float16), torch.full((1, *SHAPE), 1 + 2**-20)
    batch = put_together([View.whole(0, SHAPE), sent[0].numpy()], sent).gather(kept)
    assert batch.dtype == torch.float32
    assert torch.equal(batch[1], sent[0])


def test_a_batch_of_views_alone_sends_no_panels():
    views = put_together([View.whole(1, SHAPE), View.whole(0, SHAPE)], torch.empty(0))
    kept = torch.randn(2, *SHAPE)
    assert isinstance(views, Views)
    assert sum(part.nbytes for part in views) < 300
    assert torch.equal(views.gather(kept), kept[[1, 0]])


def test_an_axis_rolls_in_the_order_that_it_has():
    axis = Axis(5).roll(2).mirror().roll(-1)
    expected = np.roll(np.roll(np.arange(5), 2)[::-1], -1)
    assert [(axis.start + axis.step * place) % 5 for place in range(5)] == expected.tolist()
