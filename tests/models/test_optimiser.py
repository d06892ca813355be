import math

import numpy as np
import pytest
import timm
import torch

from seti.errors import SetiError
from seti.models.optimiser import layer_groups, make_optimizer, make_schedule

LR, DECAY = 1e-2, 0.5
COSINE = {"name": "cosine", "div_factor": 10.0, "warmup_epochs": 2.0, "final_factor": 0.05}
ONE_CYCLE = {"name": "onecycle", "pct_start": 0.2, "div_factor": 5.0}


def network():
    torch.manual_seed(0)
    return timm.create_model("test_resnet", in_chans=1, num_classes=1)


def optimizer(**settings):
    return make_optimizer(network(), {"lr": LR, "weight_decay": 0.1} | settings, fused=False)


def rates(made, schedule, steps, epochs) -> np.ndarray:
    """Return the rates of every step, `(steps, groups)`."""
    scheduler, seen = make_schedule(made, schedule, steps, epochs), []
    for _ in range(steps):
        seen.append([group["lr"] for group in made.param_groups])
        made.step()
        scheduler.step()
    return np.array(seen)


def test_the_cosine_schedule_follows_its_formula():
    seen = rates(optimizer(), COSINE, steps=50, epochs=10)[:, 0]
    rise = [LR * (0.1 + 0.9 * step / 10) for step in range(10)]
    fall = [LR * (0.05 + 0.95 * (1 + math.cos(math.pi * step / 39)) / 2) for step in range(40)]
    np.testing.assert_allclose(seen, rise + fall, rtol=1e-9)
    assert seen[10] == LR == seen.max()
    assert seen[-1] == pytest.approx(0.05 * LR)


@pytest.mark.parametrize(
    ("steps", "epochs", "warmup", "final", "expected"),
    [
        (3, 3, 0.0, 0.0, [1, 0.5, 0]),
        (1, 1, 0.0, 0.5, [1]),
        (2, 2, 1.0, 0.0, [0.1, 1]),
        (4, 2, 0.5, 0.0, [0.1, 1, 0.5, 0]),  # half an epoch
        (3, -1, 1.0, 1.0, [1, 1, 1]),  # limited by steps only: a range test
    ],
)
def test_short_cosines(steps, epochs, warmup, final, expected):
    settings = COSINE | {"warmup_epochs": warmup, "final_factor": final}
    np.testing.assert_allclose(rates(optimizer(), settings, steps, epochs)[:, 0], LR * np.array(expected), atol=1e-12)


def test_the_rate_stays_at_its_final_value():
    made = optimizer()
    scheduler = make_schedule(made, COSINE, 10, 10)
    for _ in range(15):  # the Trainer takes one step more than there are batches
        made.step()
        scheduler.step()
    assert made.param_groups[0]["lr"] == pytest.approx(0.05 * LR)


def test_each_layer_has_its_own_rate():
    net = network()
    groups = layer_groups(net, LR, DECAY)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    # timm defines six layers: the stem, four blocks and the head.
    prefixes = ["fc", "layer4", "layer3", "layer2", "layer1", ("conv1", "bn1")]
    assert [group["lr"] for group in groups] == [LR * DECAY**k for k in range(6)]
    for group, prefix in zip(groups, prefixes, strict=True):
        assert all(names[id(parameter)].startswith(prefix) for parameter in group["params"])
    assert sum(len(group["params"]) for group in groups) == len(names)


@pytest.mark.parametrize("schedule", [ONE_CYCLE, COSINE])
def test_the_schedule_moves_every_layer_in_proportion(schedule):
    seen = rates(optimizer(layer_decay=DECAY), schedule, steps=20, epochs=10)
    one = rates(optimizer(), schedule, steps=20, epochs=10)
    np.testing.assert_allclose(seen, one * DECAY ** np.arange(6), rtol=1e-9)
    assert seen[:, 5].max() == pytest.approx(LR / 32)


def test_layers_differ_only_in_their_rate():
    made = optimizer(layer_decay=DECAY)
    assert type(made) is torch.optim.AdamW
    assert {group["weight_decay"] for group in made.param_groups} == {0.1}
    net = network()
    before = {name: value.clone() for name, value in net.named_parameters()}
    made = make_optimizer(net, {"lr": LR, "weight_decay": 0.0, "layer_decay": DECAY}, fused=False)
    net(torch.randn(4, 1, 24, 32)).sum().backward()
    made.step()  # AdamW's first step has the size of the rate for any gradient
    for layer, prefix in enumerate(["conv1", "layer1", "layer2", "layer3", "layer4", "fc"]):
        moved = [value - before[name] for name, value in net.named_parameters() if name.startswith(prefix)]
        assert max(part.abs().max().item() for part in moved) == pytest.approx(LR / 2 ** (5 - layer), rel=1e-2)


def test_a_network_without_layers_is_refused():
    for net in (torch.nn.Linear(3, 1), timm.create_model("test_resnet").fc):
        with pytest.raises(
            SetiError, match=r"optimizer\.layer_decay=0\.5 .* model\.backbone=Linear: .*layer_decay=null"
        ):
            layer_groups(net, LR, DECAY)


@pytest.mark.parametrize("name", ["radam", "madgrad", "lamb", "sgd", "lookahead_radam", "muon"])
def test_timms_optimisers_get_the_same_rate_and_decay(name):
    net = network()
    made = make_optimizer(net, {"name": name, "lr": LR, "weight_decay": 0.1}, fused=True)
    inner = getattr(made, "_base_optimizer", made)
    assert type(inner).__name__.lower() == name.removeprefix("lookahead_")
    assert {(group["lr"], group["weight_decay"]) for group in made.param_groups} == {(LR, 0.1)}
    before = net.fc.weight.clone()
    net(torch.randn(4, 1, 24, 32)).sum().backward()
    made.step()
    assert not torch.equal(net.fc.weight, before)
    assert rates(made, ONE_CYCLE, 20, 10).max() == pytest.approx(LR)
