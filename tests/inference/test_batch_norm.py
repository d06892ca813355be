import copy

import pytest
import torch
from torch import nn

from seti.inference.batch_norm import fold_batch_norm
from seti.models.backbone import Backbone


def settled(network):
    """Set statistics and scales as after training, because the initial ones change nothing."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 2),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.3, 0.3),
            ):
                values.uniform_(low, high, generator=generator)
    return network.eval()


def batch_norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit2", "test_mambaout"])
def test_the_folded_network_gives_the_same_numbers(name):
    size = (160, 160)
    network = settled(Backbone(name, 1, size))
    images = torch.randn(3, 1, *size, generator=torch.Generator().manual_seed(1))
    before = copy.deepcopy(network.state_dict())
    folded = fold_batch_norm(network, images[:2])
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), network(images), rtol=1e-4, atol=1e-4)
    assert batch_norms(folded) == 0
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize(
    ("name", "options"),
    [("test_nfnet", {}), ("test_nfnet", {"pool": "gem"}), ("test_efficientnet", {"pool": "gem", "stem_stride": 1})],
)
def test_networks_with_standardised_weights_or_another_pool_give_the_same_numbers(name, options):
    network = settled(Backbone(name, 1, (64, 64), **options))
    images = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    folded = fold_batch_norm(network, images[:1])
    with torch.inference_mode():
        expected = network(images)
        assert expected.std() > 1e-3
        torch.testing.assert_close(folded(images), expected, rtol=1e-4, atol=1e-4)
    assert batch_norms(folded) == 0


class Twice(nn.Module):
    """Network that uses a convolution's output twice, and one norm after two convolutions."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.shared = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images):
        given = self.first(images)
        between = self.norm(given) + given
        return (self.shared(self.second(between)) + self.shared(self.second(given))).mean((1, 2, 3))


def test_layers_that_cannot_be_folded_stay_unchanged():
    network = settled(Twice())
    images = torch.randn(2, 1, 9, 9)
    kept = fold_batch_norm(network, images)
    assert batch_norms(kept) == 2
    with torch.inference_mode():
        torch.testing.assert_close(kept(images), network(images))
