"""Every network of `conf/model`, with what can be set on it."""

import copy
from pathlib import Path

import pytest
import timm
import torch
from conftest import compose
from timm.layers import DropPath

from seti.config.validation import check_settings
from seti.inference.batch_norm import fold_batch_norm
from seti.models.backbone import Backbone
from seti.models.gem import GeM
from seti.models.optimiser import layer_groups

PRESETS = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "model").glob("*.yaml"))
PRESETS = [
    preset for preset in PRESETS if not preset.startswith("needle_net")
]  # the project's own: tests/models/test_needle_net.py
LARGE = ("eca_nfnet_l2", "tf_efficientnetv2_m", "hrnet_w18", "convnext_nano", *(f"effnet_b{n}" for n in range(1, 6)))
SIZE = (64, 96)


def name_of(preset: str) -> str:
    return compose("train", [f"model={preset}"]).model.backbone


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_a_network_that_timm_has_weights_of(preset):
    cfg = compose("train", [f"model={preset}"])
    check_settings(cfg)
    name = cfg.model.backbone
    assert "." in name, "the tag, or timm would choose"
    assert name in timm.list_pretrained()
    assert cfg.model.pretrained is False


@pytest.mark.parametrize("preset", PRESETS)
def test_every_setting_reaches_a_presets_network(preset):
    name, drops = name_of(preset), {"drop_rate": 0.3, "drop_path": None if preset == "hrnet_w18" else 0.2}
    with torch.device("meta"):
        own = Backbone(name, 1, SIZE)
        other = Backbone(name, 1, SIZE, pool="gem", stem_stride=1, **drops)
        sizes = []
        stem = other.network.get_submodule(other.network.pretrained_cfg["first_conv"])
        stem.register_forward_hook(lambda *hooked: sizes.append(hooked[2].shape[-2:]))
        assert other(torch.zeros(2, 1, *SIZE)).shape == (2,)
    lost = stem.kernel_size[0] - 1 if preset == "convnext_nano" else 0  # its patches lie inside of the image
    assert sizes == [(SIZE[0] - lost, SIZE[1] - lost)]
    assert len([module for module in other.modules() if isinstance(module, GeM)]) == 1
    assert not [module for module in own.modules() if isinstance(module, GeM)]
    if drops["drop_path"]:
        assert max(module.drop_prob for module in other.modules() if isinstance(module, DropPath)) > 0.1
    groups = layer_groups(other.network, 1.0, 0.5)
    assert len(groups) > 3
    assert sum(len(group["params"]) for group in groups) == len(list(other.parameters()))
    assert any(parameter is other.head.weight for parameter in groups[0]["params"])
    (gem,) = [module for module in other.modules() if isinstance(module, GeM)]
    assert any(parameter is gem.p for parameter in groups[0]["params"]), "new, as the head is"
    assert other.head.out_features == 1


@pytest.mark.parametrize(
    "preset", [pytest.param(preset, marks=pytest.mark.slow) if preset in LARGE else preset for preset in PRESETS]
)
def test_a_preset_learns_and_is_folded(preset):
    torch.manual_seed(0)
    network = Backbone(name_of(preset), 1, SIZE, pool="gem").train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    images, targets = torch.randn(4, 1, *SIZE), torch.tensor([0.0, 1.0, 0.0, 1.0])
    torch.nn.functional.binary_cross_entropy_with_logits(network(images), targets).backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters() if parameter.grad is not None)
    optimizer.step()
    moved = {key for key, value in network.named_parameters() if not torch.equal(value, before[key])}
    assert len(moved) > 0.5 * len(list(network.parameters()))  # not what stands behind a scale that begins at 0
    ends = (network.network.pretrained_cfg["first_conv"] + ".weight", "classifier.weight", "fc.weight", "pool.p")
    assert sum(key.endswith(ends) for key in moved) >= 3
    network.eval()
    folded = fold_batch_norm(copy.deepcopy(network), images[:1])
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), network(images), rtol=1e-3, atol=1e-3)
