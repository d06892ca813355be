import os

import pytest
import timm
import torch
from safetensors.torch import save_file

from seti.errors import SetiError
from seti.models.backbone import Backbone

NAME, STEM, HEAD = "test_resnet", "conv1.0.weight", "fc"
SIZE = (24, 32)


class Trap:
    """Object that creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def refusal(*args, **options) -> str:
    with pytest.raises(SetiError) as caught:
        Backbone(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def no_network(monkeypatch):
    """Make every download of timm fail at once, as on a machine without network."""

    def fail(*args, **options):
        msg = "We couldn't connect\nto the hub"
        raise OSError(msg)

    for name in ("load_state_dict_from_hf", "load_state_dict_from_url", "load_custom_from_hf"):
        monkeypatch.setattr(timm.models._builder, name, fail)


@pytest.fixture
def original() -> dict[str, torch.Tensor]:
    """Weights of the network as timm distributes them, with 3 channels and 1000 classes."""
    torch.manual_seed(0)
    return timm.create_model(NAME, in_chans=3, num_classes=1000).state_dict()


@pytest.fixture(params=[".safetensors", ".pth", ".bin"])
def weights(request, tmp_path, original) -> str:
    path = tmp_path / f"weights{request.param}"
    if request.param == ".safetensors":
        save_file(original, path)
    else:
        torch.save(original, path)
    return str(path)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "efficientnet_b0"])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_images_give_one_logit_each(name, channels):
    backbone = Backbone(name, channels, SIZE)
    for batch in (1, 4):
        logits = backbone.eval()(torch.randn(batch, channels, *SIZE))
        assert logits.shape == (batch,)
        assert logits.isfinite().all()


def test_logits_are_in_the_order_of_the_images():
    backbone = Backbone(NAME, 1, SIZE).eval()
    images = torch.randn(5, 1, *SIZE)
    one_by_one = torch.cat([backbone(image[None]) for image in images])
    torch.testing.assert_close(backbone(images), one_by_one, rtol=1e-4, atol=1e-5)
    assert len(set(one_by_one.tolist())) == 5


def test_a_wrong_number_of_channels_is_refused():
    with pytest.raises(RuntimeError, match="channels"):
        Backbone(NAME, 3, SIZE)(torch.randn(2, 1, *SIZE))


def test_the_reference_backbone_has_a_head_of_one_logit():
    backbone = Backbone("efficientnet_b1.ft_in1k", 1, (64, 64))
    assert backbone.head.out_features == 1
    assert sum(p.numel() for p in backbone.parameters()) == pytest.approx(6.5e6, rel=0.02)


@pytest.mark.parametrize("size", [(64, 96), (96, 32)])
def test_a_network_with_position_embeddings_is_built_for_the_image_size(size):
    backbone = Backbone("test_vit", 1, size).eval()
    assert backbone(torch.randn(2, 1, *size)).shape == (2,)
    patch = backbone.network.patch_embed
    assert patch.img_size == size
    assert backbone.network.pos_embed.shape[1] == size[0] * size[1] // 16**2 + 1


@pytest.mark.parametrize(
    ("name", "near"),
    [("efficientnet_b11", "efficientnet_b1"), ("test_resnett", "test_resnet"), ("resnet_50", "resnet50")],
)
def test_unknown_names_are_answered_with_similar_ones(name, near):
    message = refusal(name, 1, SIZE)
    assert f"model.backbone={name}" in message
    assert near in message.split("similar names: ")[1].split(", ")


def test_an_unknown_name_may_have_no_similar_one():
    message = refusal("q!", 1, SIZE)
    assert "model.backbone=q!" in message
    assert "similar names" not in message


def test_an_unknown_pretraining_tag_is_refused():
    assert "test_resnet.nowhere" in refusal("test_resnet.nowhere", 1, SIZE)


def test_a_network_that_cannot_take_the_size_is_refused():
    message = refusal("swin_tiny_patch4_window7_224", 1, (0, 0))
    assert "(0, 0)" in message


def moved_by_a_step(backbone: Backbone) -> tuple[set[str], set[str]]:
    """Return the names of the parameters and buffers that one training step changes."""
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.5)
    backbone.train()(torch.randn(8, 1, *SIZE) * 3 + 5).sum().backward()
    optimizer.step()
    moved = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    buffers = {name for name, _ in backbone.named_buffers()}
    return moved - buffers, moved & buffers


def test_a_frozen_backbone_trains_only_its_head_and_keeps_its_statistics():
    parameters, buffers = moved_by_a_step(Backbone(NAME, 1, SIZE, freeze=True))
    assert parameters == {"network.fc.weight", "network.fc.bias"}
    assert buffers == set()


def test_an_unfrozen_backbone_trains_throughout():
    backbone = Backbone(NAME, 1, SIZE)
    parameters, buffers = moved_by_a_step(backbone)
    assert {"network.fc.weight", "network." + STEM} <= parameters
    assert any("running_mean" in name for name in buffers)
    assert all(p.requires_grad for p in backbone.parameters())


def test_modes_of_a_frozen_backbone():
    backbone = Backbone(NAME, 1, SIZE, freeze=True)
    for _ in range(2):  # as constructed, and after train()
        assert backbone.head.training
        assert not any(m.training for m in backbone.network.modules() if m is not backbone.head)
        backbone.train()
    assert not any(m.training for m in backbone.eval().modules())


def test_local_weights_are_adapted_to_stem_and_head(weights, original, no_network):
    made = Backbone(NAME, 1, SIZE, weights=weights).network.state_dict()
    torch.testing.assert_close(made[STEM], original[STEM].sum(dim=1, keepdim=True))
    assert made["fc.weight"].shape == (1, original["fc.weight"].shape[1])
    assert made.keys() == original.keys()
    others = made.keys() - {STEM, "fc.weight", "fc.bias"}
    assert len(others) > 20
    for name in others:
        assert torch.equal(made[name], original[name]), name


@pytest.mark.parametrize("channels", [3, 6])
def test_local_weights_for_more_channels(tmp_path, original, channels):
    torch.save(original, tmp_path / "w.pth")
    made = Backbone(NAME, channels, SIZE, weights=str(tmp_path / "w.pth")).network.state_dict()
    expected = original[STEM] if channels == 3 else original[STEM].repeat(1, 2, 1, 1) / 2
    torch.testing.assert_close(made[STEM], expected)


def test_local_weights_take_precedence_over_the_hub(tmp_path, original, no_network):
    torch.save(original, tmp_path / "w.pth")
    made = Backbone(NAME, 3, SIZE, pretrained=True, weights=str(tmp_path / "w.pth")).network.state_dict()
    assert torch.equal(made[STEM], original[STEM])


def test_local_weights_do_not_change_the_random_state(weights):
    torch.manual_seed(3)
    Backbone(NAME, 1, SIZE)
    expected = torch.rand(3)
    torch.manual_seed(3)
    Backbone(NAME, 1, SIZE, weights=weights)
    torch.testing.assert_close(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet", "test_convnext"])
def test_local_weights_load_into_other_kinds_of_networks(tmp_path, name):
    original = timm.create_model(name).state_dict()
    torch.save(original, tmp_path / "w.pth")
    made = Backbone(name, 1, (64, 96), weights=str(tmp_path / "w.pth")).network.state_dict()
    equal = [key for key, value in made.items() if torch.equal(value, original[key])]
    assert len(equal) >= len(made) - 4, "stem, head, position embeddings"


def test_without_weights_a_network_is_initialised_randomly(no_network):
    torch.manual_seed(1)
    first = Backbone(NAME, 1, SIZE).network.state_dict()[STEM]
    torch.manual_seed(2)
    assert not torch.equal(Backbone(NAME, 1, SIZE).network.state_dict()[STEM], first)


@pytest.mark.parametrize("content", ["other network", "garbage", "empty", "truncated", "no weights"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_weight_file_that_does_not_fit_is_refused(tmp_path, original, content, suffix):
    path = tmp_path / f"w{suffix}"
    if content == "other network":
        original = timm.create_model("test_convnext").state_dict()
    if content == "no weights":
        original = {"x": torch.zeros(3)}
    if suffix == ".pth":
        torch.save(original, path)
    else:
        save_file(original, path)
    if content in ("garbage", "empty", "truncated"):
        path.write_bytes({"garbage": b"garbage" * 99, "empty": b"", "truncated": path.read_bytes()[:5000]}[content])
    message = refusal(NAME, 1, SIZE, weights=str(path))
    assert f"model.weights={path} does not fit model.backbone={NAME}" in message
    if suffix == ".safetensors" and content in ("garbage", "empty", "truncated"):
        assert message.endswith(": it is damaged, or not a safetensors file; give a file for that network")
    assert len(message) < 600


def test_a_weight_file_with_a_missing_tensor_is_refused(tmp_path, original):
    del original["layer2.0.conv1.weight"]
    torch.save(original, tmp_path / "w.pth")
    assert "the first one layer2.0.conv1.weight" in refusal(NAME, 1, SIZE, weights=str(tmp_path / "w.pth"))


@pytest.mark.parametrize("unsafe_timm", [False, True])
def test_pickled_code_in_a_weight_file_does_not_run(tmp_path, monkeypatch, unsafe_timm):
    if unsafe_timm:  # as in some releases
        monkeypatch.setattr(timm.models._builder, "load_state_dict", lambda p: torch.load(p, weights_only=False))
    path, sprung = tmp_path / "w.pth", tmp_path / "sprung"
    torch.save({"fc.weight": Trap(sprung)}, path)
    assert str(path) in refusal(NAME, 1, SIZE, weights=str(path))
    assert not sprung.exists()


def test_a_missing_weight_file_is_refused(tmp_path):
    message = refusal(NAME, 1, SIZE, weights=str(tmp_path / "w.pth"))
    assert f"model.weights={tmp_path / 'w.pth'} is not a file" in message


def test_a_failed_download_advises_local_weights(no_network):
    message = refusal("efficientnet_b0.ra_in1k", 1, SIZE, pretrained=True)
    assert "efficientnet_b0.ra_in1k" in message
    assert "couldn't connect to the hub" in message
    assert "model.weights=<file>" in message
    assert "model.pretrained=false" in message


def test_freezing_a_network_without_a_head_is_refused(monkeypatch):
    monkeypatch.setattr(timm.models.resnet.ResNet, "get_classifier", lambda self, **_: torch.nn.Identity())
    assert "model.freeze_backbone=true" in refusal(NAME, 1, SIZE, freeze=True)


def test_fixed_parameters_stay_fixed_when_a_backbone_is_unfrozen():
    backbone = Backbone(NAME, 1, SIZE)
    backbone.trained -= {"bn1.weight"}  # as in a network with fixed position embeddings
    backbone.freeze(True)
    backbone.freeze(False)
    assert {key for key, p in backbone.network.named_parameters() if not p.requires_grad} == {"bn1.weight"}
    assert all(module.training for module in backbone.modules())


@pytest.mark.parametrize("name", ["test_resnet", "efficientnet_b0", "test_vit", "test_convnext"])
def test_stochastic_depth_reaches_the_network(name):
    size = (64, 64)
    backbone = Backbone(name, 1, size, drop_path=0.5)
    images = torch.randn(2, 1, *size).expand(2, -1, -1, -1)
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # in some networks residual blocks begin with a scale of 0
            module.weight.data.fill_(1.0)
    last = [module.drop_prob for module in backbone.modules() if hasattr(module, "drop_prob")][-1]
    assert 0.3 < last <= 0.5, "the rate grows up to the last block; timm starts its count at the first"
    torch.manual_seed(0)
    assert len({tuple(backbone.train()(images).tolist()) for _ in range(8)}) > 1
    plain = Backbone(name, 1, size)
    assert len({tuple(plain.train()(images).tolist()) for _ in range(3)}) == 1
    backbone.eval()
    assert len({tuple(backbone(images).tolist()) for _ in range(3)}) == 1


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit"])
def test_dropout_reaches_the_head(name):
    size = (64, 64)
    backbone = Backbone(name, 1, size, drop_rate=0.5)
    seen, images = [], torch.randn(4, 1, *size)
    backbone.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for mode in (True, True, False, False):
        backbone.train(mode)(images)
    assert ((seen[0] == 0) != (seen[1] == 0)).float().mean() > 0.2
    assert torch.equal(seen[2], seen[3])


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("hrnet_w18", {"drop_path": 0.1}, "model.drop_path=0.1 has no effect on model.backbone=hrnet_w18"),
        ("vgg11", {"drop_path": 0.1}, "model.drop_path=0.1 has no effect on model.backbone=vgg11"),
        ("test_vit", {"stem_stride": 1}, "model.stem_stride=1: model.backbone=test_vit has no first convolution"),
        ("test_vit", {"pool": "gem"}, "model.pool=gem: model.backbone=test_vit has no global average pool"),
    ],
)
def test_a_setting_that_the_network_lacks_is_refused(name, options, said):
    with torch.device("meta"):
        assert said in refusal(name, 1, (64, 64), **options)


def test_a_drop_rate_that_is_accepted_but_ignored_is_refused(monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, drop_path_rate, **options: create(name, **options))
    assert f"model.drop_path=0.2 has no effect on model.backbone={NAME}: set model.drop_path=null" in refusal(
        NAME, 1, SIZE, drop_path=0.2
    )


@pytest.mark.parametrize(("stride", "map_size"), [(None, (6, 8)), (2, (6, 8)), (1, (12, 16)), ([1, 2], (12, 8))])
def test_the_stem_stride_sets_the_size_of_every_feature_map(stride, map_size):
    backbone, seen = Backbone(NAME, 1, (96, 128), stem_stride=stride), []
    backbone.network.layer4.register_forward_hook(lambda *args: seen.append(tuple(args[2].shape[-2:])))
    assert backbone.eval()(torch.randn(2, 1, 96, 128)).shape == (2,)
    assert seen == [(map_size[0] // 2, map_size[1] // 2)]


def test_weights_are_loaded_before_pool_and_stride_are_changed(tmp_path, original):
    torch.save(original, tmp_path / "w.pth")
    changes = {"pool": "gem", "stem_stride": 1, "drop_rate": 0.2, "drop_path": 0.1}
    made = Backbone(NAME, 3, SIZE, weights=str(tmp_path / "w.pth"), **changes).network.state_dict()
    assert torch.equal(made[STEM], original[STEM])
    assert made.keys() - original.keys() == {"global_pool.pool.p"}
