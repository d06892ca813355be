import pytest
import torch
from torch.nn import functional as F

from seti.models.backbone import Backbone
from seti.models.gem import GeM


def pool(p: float, **options) -> GeM:
    return GeM((2, 3), keepdim=False, p=p, **options)


@pytest.fixture
def features():
    return torch.rand(2, 5, 6, 7, generator=torch.Generator().manual_seed(0)) + 0.1


def test_an_exponent_of_one_is_the_average(features):
    torch.testing.assert_close(pool(1.0)(features), features.mean((2, 3)))


def test_a_large_exponent_is_the_maximum(features):
    distance = [(pool(p)(features) - features.amax((2, 3))).abs().max().item() for p in (1.0, 10.0, 100.0, 300.0)]
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] < 0.02


def test_an_exponent_of_three_by_hand():
    features = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2)
    assert pool(3.0)(features).item() == pytest.approx(((1 + 8 + 27 + 64) / 4) ** (1 / 3), rel=1e-6)


def test_negative_features_are_clamped():
    features = torch.tensor([-5.0, -1.0, 0.0, 2.0]).reshape(1, 1, 2, 2)
    exponent = pool(3.0)
    value = exponent(features)
    assert value.item() == pytest.approx((8 / 4) ** (1 / 3), rel=1e-5)
    value.backward()
    assert exponent.p.grad.isfinite().all()
    assert pool(3.0)(-torch.ones(1, 1, 2, 2)).item() == pytest.approx(1e-6, rel=1e-3)


def test_half_precision_does_not_overflow(features):
    large = (features * 100).half()
    found = pool(3.0)(large)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), pool(3.0)(large.float()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_nfnet"])
def test_exponent_one_gives_the_network_with_its_average_pool(name):
    torch.manual_seed(0)
    own = Backbone(name, 1, (64, 64)).eval()
    torch.manual_seed(0)
    other = Backbone(name, 1, (64, 64), pool="gem").eval()
    (gem,) = [module for module in other.modules() if isinstance(module, GeM)]
    assert gem.p.item() == 3.0
    assert gem.p.requires_grad
    gem.p.data.fill_(1.0)
    for module in own.modules():
        if hasattr(module, "pool_type"):  # the average of the clamped features
            module.register_forward_pre_hook(lambda _, given: (F.relu(given[0]),))
    images = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(other(images), own(images), rtol=1e-3, atol=1e-4)
    gem.p.data.fill_(3.0)
    assert not torch.allclose(other(images), own(images), rtol=1e-3, atol=1e-4)


def test_the_exponent_is_learned():
    # Feature maps of 3 x 4: of a single spot any exponent gives the same mean.
    backbone = Backbone("test_resnet", 1, (96, 128), pool="gem").train()
    backbone(torch.randn(4, 1, 96, 128)).pow(2).mean().backward()
    (gem,) = [module for module in backbone.modules() if isinstance(module, GeM)]
    assert gem.p.grad.abs().item() > 1e-3


def test_channels_last_networks_are_pooled_over_the_right_axes():
    """The feature maps of Swin are `(B, H, W, C)`."""
    with torch.device("meta"):
        backbone = Backbone("swin_tiny_patch4_window7_224", 1, (224, 224), pool="gem")
    (gem,) = [module for module in backbone.modules() if isinstance(module, GeM)]
    assert gem.dims == (1, 2)
    features = torch.rand(2, 3, 4, 5)
    expected = features.pow(3).mean((1, 2)).pow(1 / 3)
    torch.testing.assert_close(GeM(gem.dims, gem.keepdim)(features).squeeze(), expected)
