import pytest
import timm
import torch

from seti.errors import SetiError
from seti.inference.batch_norm import fold_batch_norm
from seti.models.backbone import Backbone
from seti.models.needle_net import NeedleNet
from seti.models.optimiser import layer_groups
from seti.models.timm_network import use_channels_last

SIZE = (17, 40)


def network(channels: int = 6, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    return Backbone("needle_net", channels, SIZE, **options).eval()


def test_the_networks_are_registered_with_timm():
    assert timm.is_model("needle_net")
    assert timm.create_model("needle_net_wide", in_chans=3, num_classes=1)(torch.randn(2, 3, *SIZE)).shape == (2, 1)


def test_on_panels_can_be_swapped_with_on_panels_and_off_with_off_only():
    net, planes = network(), torch.randn(4, 6, *SIZE)
    planes[:, ::2, 8, 20] += 6  # in the ON panels
    logits = net(planes)
    torch.testing.assert_close(net(planes[:, [4, 3, 0, 5, 2, 1]]), logits, rtol=1e-4, atol=1e-5)
    assert (net(planes[:, [1, 0, 3, 2, 5, 4]]) - logits).abs().max() > 1e-3


def test_a_network_of_on_planes_only():
    planes, net = torch.randn(4, 3, *SIZE), network(3)
    torch.testing.assert_close(net(planes[:, [2, 0, 1]]), net(planes), rtol=1e-4, atol=1e-5)


def test_it_learns_to_separate_needles_from_decoys():
    torch.manual_seed(1)
    net = network(drop_rate=0.1).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)

    def cadences(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        planes, targets = torch.randn(count, 6, *SIZE), (torch.arange(count) % 2).float()
        for number, cadence in enumerate(planes):
            row, column = int(torch.randint(SIZE[0], ())), int(torch.randint(SIZE[1], ()))
            cadence[:: 2 if targets[number] else 1, row, column] += 6  # in the ON panels, or in all panels
        return planes, targets

    for _ in range(40):
        planes, targets = cadences(32)
        torch.nn.functional.binary_cross_entropy_with_logits(net(planes), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    planes, targets = cadences(64)
    with torch.inference_mode():
        assert ((net.eval()(planes) > 0) == targets.bool()).float().mean() > 0.85


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(SetiError, match="one channel per panel, 3 or 6, not 1"):
        network(1)


def test_a_weight_file_is_loaded_and_the_hub_has_none(tmp_path):
    net = network()
    torch.save(net.network.state_dict(), tmp_path / "weights.pth")
    torch.manual_seed(5)
    other = Backbone("needle_net", 6, SIZE, weights=str(tmp_path / "weights.pth")).eval()
    planes = torch.randn(2, 6, *SIZE)
    torch.testing.assert_close(other(planes), net(planes))
    with pytest.raises(SetiError, match=r"weights of needle_net cannot be downloaded.*model.weights="):
        network(pretrained=True)


def test_batch_normalisation_is_folded():
    net = network().train()
    for _ in range(3):
        net(torch.randn(8, 6, *SIZE))
    net.eval()
    planes = torch.randn(3, 6, *SIZE)
    folded = fold_batch_norm(net, planes[:1])
    assert not [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    torch.testing.assert_close(folded(planes), net(planes), rtol=1e-3, atol=1e-4)


def test_layers_can_have_rates_of_their_own():
    groups = layer_groups(network().network, 1.0, 0.5)
    assert groups[0]["lr"] == 1.0
    assert len({group["lr"] for group in groups}) >= 3


def test_everything_but_the_head_can_be_frozen():
    net = network(freeze=True)
    assert {name for name, value in net.network.named_parameters() if value.requires_grad} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("size", [(6, 33, 256), (3, 9, 17), (6, 2, 2)])
@pytest.mark.parametrize("half", [False, True])
def test_predictions_are_bit_by_bit_those_of_the_layers_that_training_uses(size, half):
    torch.manual_seed(0)
    network = NeedleNet(in_chans=size[0]).eval()
    use_channels_last(network)
    planes = torch.randn(4, *size).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        expected = network(planes).detach()
        with torch.no_grad():
            assert torch.equal(network(planes), expected)
