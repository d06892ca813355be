import numpy as np
import pytest
import torch
from torch import nn
from unit_helpers import files_dataset, make_cadences

from seti.dataloading.loader import make_loader
from seti.errors import SetiError
from seti.inference import ensemble as inference
from seti.inference.ensemble import Ensemble, auto_batch_size, predict_probabilities
from seti.models.backbone import Backbone
from seti.models.classifier import CadenceClassifier
from seti.transforms.input_spec import InputSpec

CPU = torch.device("cpu")
ROWS, BINS = 16, 24


class Looks(nn.Module):
    """Network with a weight per pixel, whose logit depends on the image's orientation."""

    def __init__(self, *size):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(size, generator=torch.Generator().manual_seed(3)))
        self.sizes = []

    def forward(self, images):
        self.sizes.append(len(images))
        return (images * self.weights).mean((1, 2, 3)) * 8


def classifier_of(spec, network=None):
    model = {"backbone": "test_resnet", "pretrained": False, "weights": None, "freeze_backbone": False}
    made = CadenceClassifier(spec.plain(), model, {"lr": 1e-3, "weight_decay": 0.0}, {}, None)
    if network is not None:
        made.backbone = network
    return made.eval()


def dataset_of(tmp_path, panels="A", layout="spatial", image_size=None, count=7):
    ids = [f"{number}{number}" for number in range(count)]
    cadences = make_cadences(tmp_path, "test", ids, rows=ROWS, bins=BINS)
    spec = InputSpec(panels, layout, image_size, "linear", ROWS, BINS)
    return files_dataset(tmp_path, "test", np.array(ids), None, spec), cadences.astype(np.float32)


def views_of(cadences, panels, layout):
    """Compute the four views directly from the panels: `(4, N, C, H, W)`."""
    chosen = cadences[:, [0, 2, 4]] if panels == "A" else cadences
    stacked = layout == "spatial"
    given = chosen.reshape(len(chosen), 1, -1, BINS) if stacked else chosen
    # A stack of ON panels only can be mirrored as a whole; of all six, each panel is mirrored in its place.
    late = given[:, :, ::-1] if panels == "A" or not stacked else chosen[:, :, ::-1].reshape(given.shape)
    return np.stack([given, given[..., ::-1], late, late[..., ::-1]])


@pytest.mark.parametrize("layout", ["spatial", "channel"])
@pytest.mark.parametrize("panels", ["A", "all"])
def test_flips_average_four_views(tmp_path, panels, layout):
    dataset, cadences = dataset_of(tmp_path, panels, layout)
    views = views_of(cadences, panels, layout)
    network = Looks(*views.shape[2:])
    found = predict_probabilities(
        [classifier_of(dataset.spec, network)], make_loader(dataset, 3, 0), CPU, "32", "", flips=True
    )
    with torch.inference_mode():
        expected = torch.stack([network(torch.from_numpy(view.copy())).sigmoid() for view in views])
    np.testing.assert_allclose(found[:, 0], expected.mean(0), atol=1e-6)
    assert expected.std(dim=0).min() > 1e-3  # the views differ
    assert not dataset.on_device


@pytest.mark.parametrize("image_size", [None, [40, 20]])
def test_panels_of_a_resized_stack_are_mirrored_in_place(tmp_path, image_size):
    dataset, cadences = dataset_of(tmp_path, "all", "spatial", image_size)
    network = Looks(1, *(image_size or (6 * ROWS, BINS)))
    views = (view for cadence in cadences for view in (cadence, np.ascontiguousarray(cadence[:, ::-1])))
    seen = [dataset.image_maker(view) for view in views]
    with torch.inference_mode():
        straight, late = network(torch.from_numpy(np.stack(seen))).view(-1, 2).T
        turned = network(torch.from_numpy(np.stack(seen)).flip(-1)).view(-1, 2).T
        expected = torch.stack([straight, late, *turned]).sigmoid().mean(0)
    batches = make_loader(dataset, 7, 0)
    found = predict_probabilities([classifier_of(dataset.spec, network)], batches, CPU, "32", "", flips=True)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-5)


def test_threads_do_not_change_the_numbers(tmp_path):
    dataset, _ = dataset_of(tmp_path)
    classifier = classifier_of(dataset.spec)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(predict_probabilities([classifier], make_loader(dataset, 2, 0), CPU, "32", ""))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    # Equal up to rounding, because torch's kernels also depend on the alignment of memory.
    np.testing.assert_allclose(found[0], found[1], rtol=2.4e-7)


class Rounded(nn.Module):
    """Network whose output half precision changes by `shift`."""

    def __init__(self, shift):
        super().__init__()
        self.shift = shift

    def forward(self, images):
        return images.mean((1, 2, 3)) + self.shift * torch.is_autocast_enabled("cpu")


def test_auto_uses_float32_if_half_precision_changes_a_probability(monkeypatch):
    monkeypatch.setattr(inference, "choose_precision", lambda name, device: "bf16-mixed" if name == "auto" else name)
    images = torch.randn(5, 1, 8, 8)
    networks = [Rounded(0.0), Rounded(0.1), Rounded(1e-3), Rounded(float("nan"))]
    auto = Ensemble(networks, images, CPU, "auto", halve=False)
    assert [precision for _, precision in auto.members] == ["bf16-mixed", "32", "bf16-mixed", "32"]
    forced = Ensemble(networks, images, CPU, "bf16-mixed", halve=False)
    assert {precision for _, precision in forced.members} == {"bf16-mixed"}


class Greedy(nn.Module):
    """Network that runs out of memory above a batch size."""

    def __init__(self, most):
        super().__init__()
        self.most = most

    def forward(self, images):
        if len(images) > self.most:
            msg = "CUDA out of memory"
            raise torch.OutOfMemoryError(msg)
        return images.mean((1, 2, 3))


def test_batches_are_halved_until_they_fit():
    images = torch.randn(21, 1, 4, 4)
    ensemble = Ensemble([Greedy(3)], images, CPU, "32", halve=True)
    torch.testing.assert_close(ensemble([images])[:, 0], images.mean((1, 2, 3)).sigmoid())
    assert ensemble.chunk_size == 2


@pytest.mark.parametrize(("most", "halve", "size", "fix"), [(3, False, 21, ""), (0, True, 1, ", or use device=cpu")])
def test_a_device_out_of_memory_is_reported_in_one_line(most, halve, size, fix):
    network = Greedy(2)
    ensemble = Ensemble([network], torch.randn(21, 1, 4, 4), CPU, "32", halve=halve)
    network = ensemble.members[0][0]
    network.most = most
    with pytest.raises(SetiError, match=f"cpu is out of memory with batches of {size}: lower data.batch_size{fix}$"):
        ensemble([torch.randn(21, 1, 4, 4)])


def test_whole_batches_run_compiled_and_a_smaller_last_one_as_it_is(monkeypatch):
    sizes = []

    def run(network, images):
        sizes.append(len(images))
        return network(images)

    monkeypatch.setattr(inference, "run_compiled", run)
    images = torch.randn(9, 1, 4, 4)
    network = Greedy(99)
    found = Ensemble([network], images[:4], CPU, "32", halve=False, compiled=True)([images])
    torch.testing.assert_close(found[:, 0], images.mean((1, 2, 3)).sigmoid())
    assert sizes == [4, 4]


@pytest.mark.parametrize(
    ("choice", "device", "runs", "compiled"),
    [
        ("auto", "cuda", inference.WORTHWHILE, True),
        ("auto", "cuda", inference.WORTHWHILE - 4, False),
        ("auto", "cpu", inference.WORTHWHILE, False),
        ("true", "cpu", 1, True),
        ("false", "cuda", inference.WORTHWHILE, False),
    ],
)
def test_auto_compiles_where_many_cadences_wait_for_a_gpu(choice, device, runs, compiled):
    assert inference.worth_compiling(choice, torch.device(device), runs, 1, False) is compiled
    assert inference.worth_compiling(choice, torch.device(device), (runs + 3) // 4, 1, True) is compiled


def test_cpu_batches_fit_the_cache(tmp_path):
    assert auto_batch_size(dataset_of(tmp_path)[0], CPU) == 32
    assert auto_batch_size(dataset_of(tmp_path, image_size=[512, 512])[0], CPU) == 4
    assert auto_batch_size(dataset_of(tmp_path)[0], torch.device("cuda")) == inference.GPU_BATCH


@pytest.mark.parametrize(("name", "pool"), [("test_nfnet", None), ("test_nfnet", "gem"), ("test_resnet", "gem")])
def test_weights_cast_once_equal_those_that_autocast_casts(name, pool):
    """Standardised weights are computed in float32 before the cast."""
    torch.manual_seed(0)
    network = Backbone(name, 1, (64, 64), pool=pool).eval()
    images = torch.randn(3, 1, 64, 64)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = network(images)
        assert torch.equal(inference._cast_once(network, "bf16-mixed")(images), expected)
    assert expected.std() > 1e-3
