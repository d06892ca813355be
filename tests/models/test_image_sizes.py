import re

import pytest
import torch

from seti.errors import SetiError
from seti.models.backbone import Backbone
from seti.models.names import network_name
from seti.models.timm_network import use_channels_last


def slow(*kind):
    return pytest.param(*kind, marks=pytest.mark.slow)


# One network of each kind: name, a size that it does not take, the sizes that are named.
KINDS = [
    ("dla34", (50, 70), [(64, 64), (64, 96), (32, 64)]),  # a multiple of 32
    ("hiera_tiny_224", (50, 70), [(64, 64), (64, 96), (32, 64)]),
    slow("levit_128s", (50, 70), [(48, 64), (48, 80), (64, 64)]),
    ("visformer_tiny", (51, 65), [(52, 66), (52, 64), (50, 66)]),
    ("test_vit", (8, 40), [(16, 48), (16, 32), (16, 64)]),  # smaller than a patch
    slow("halonet26t", (100, 256), [(256, 256), (512, 256), (512, 512)]),
    ("jx_nest_tiny", (512, 512), [(224, 224)]),  # one size
    slow("hrnet_w18", (50, 70), [(64, 64), (64, 96), (32, 64)]),  # a preset of this project
    slow("coatnet_nano_rw_224", (50, 70), [(64, 64), (64, 96), (32, 64)]),
    slow("maxvit_pico_rw_256", (50, 70), [(64, 64), (64, 96), (32, 64)]),
    slow("xcit_nano_12_p16_224", (50, 70), [(48, 70), (64, 70), (80, 70)]),
    slow("samvit_base_patch16", (50, 64), [(48, 64), (64, 64), (80, 64)]),
    slow("coat_lite_tiny", (16, 64), [(32, 64), (33, 64), (32, 32)]),
    slow("inception_v3", (33, 100), [(75, 100), (76, 100), (75, 75)]),  # a smallest size
    slow("convit_tiny", (40, 64), [(51, 51), (224, 224), (224, 225)]),  # square images
]


def refusal(name: str, size: tuple[int, int], channels: int = 1, **options) -> str:
    with pytest.raises(SetiError) as caught:
        Backbone(name, channels, size, **options).check_image_size()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("name", "size", "nearest"), KINDS)
def test_the_nearest_sizes_that_fit_are_named_and_work(name, size, nearest):
    message = refusal(name, size)
    assert message.startswith(
        f"model.backbone={name} cannot take images of {size[0]} x {size[1]}: set data.image_size=["
    )
    named = [tuple(map(int, pair)) for pair in re.findall(r"\[(\d+),(\d+)\]", message)]
    assert named == nearest
    for fitting in named:
        backbone = Backbone(name, 1, fitting)
        backbone.check_image_size()
        with torch.inference_mode():
            assert backbone.eval()(torch.randn(2, 1, *fitting)).shape == (2,)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        slow(
            "hrnet_w18.ms_aug_in1k",  # the native size of the A panels
            (819, 256),
            "set data.image_size=[832,256], the nearest size that fits; [800,256] and [864,256] fit too",
        ),
        ("jx_nest_tiny", (96, 128), "set data.image_size=[224,224], the only size found that fits"),
        (
            "twins_svt_small",  # refuses the size when it is built
            (99, 96),
            "set data.image_size=[96,96], the nearest size that fits; [128,96] and [160,96] fit too",
        ),
    ],
)
def test_the_message_says_what_to_set(name, size, said):
    with torch.device("meta"):
        assert refusal(name, size) == f"model.backbone={name} cannot take images of {size[0]} x {size[1]}: {said}"


def test_the_stem_stride_counts():
    with torch.device("meta"):
        Backbone("dla34", 1, (32, 96)).check_image_size()
        assert "data.image_size=[64,128], the nearest" in refusal("dla34", (40, 100), stem_stride=2)


def test_a_network_that_takes_no_such_channels_has_no_fitting_size():
    with torch.device("meta"):
        message = refusal("csatv2", (64, 64))
    assert message.startswith(
        "model.backbone=csatv2 cannot take images of 64 x 64 and 1 channel, nor of any other size that was tried ("
    )
    assert message.endswith("): use another model.backbone")


def test_another_reason_than_the_size_is_kept(monkeypatch):
    backbone = Backbone("test_resnet", 1, (32, 32))
    monkeypatch.setattr(backbone.network, "forward", lambda images: images.new_empty(2**60))
    with pytest.raises(
        SetiError, match=r"^model.backbone=test_resnet cannot take images of 32 x 32 \(.*(memory|bytes)"
    ):
        backbone.check_image_size()


@pytest.mark.parametrize("training", [True, False])
def test_a_size_that_fits_changes_nothing(training):
    backbone = Backbone("test_resnet", 1, (32, 32)).train(training)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.check_image_size()
    assert backbone.training is training
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize(
    "written",
    [
        "test_resnet.r160_in1k",
        "timm/test_resnet.r160_in1k",
        "timm.test_resnet.r160_in1k",
        "hf_hub:timm/test_resnet.r160_in1k",
        "hf-hub:timm/test_resnet.r160_in1k",
        "hf-hub:test_resnet.r160_in1k",
        "https://huggingface.co/timm/test_resnet.r160_in1k",
        "huggingface.co/timm/test_resnet.r160_in1k",
        " Test_ResNet.r160_in1k ",
    ],
)
def test_a_name_may_be_written_as_on_the_hub(written):
    assert network_name(written) == "test_resnet.r160_in1k"
    with torch.device("meta"):
        assert Backbone(written, 1, (32, 32)).name == "test_resnet.r160_in1k"


def test_a_name_of_another_owner_is_refused_as_it_was_typed():
    message = refusal("hf_hub:someone/ResNet18", (32, 32))
    assert message.startswith("model.backbone=hf_hub:someone/ResNet18 is not a network of timm")


def test_weights_of_three_dimensional_convolutions_keep_their_order():
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Conv3d(2, 3, 3))
    assert use_channels_last(network)[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[1].weight.is_contiguous()
