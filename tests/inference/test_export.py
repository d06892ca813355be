import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import compose
from torch import nn

from seti.data.cadence import read_cadence
from seti.errors import SetiError
from seti.inference import export as exporting
from seti.inference.scoring import load_ensemble

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def export(*overrides: str, ckpt_dir: object = "pretrained"):
    return exporting.export(compose("export", [f"ckpt_dir={ckpt_dir}", *overrides]))


def run(path, panels):
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(torch.from_numpy(panels)).detach().numpy()
    return onnxruntime.InferenceSession(path).run(None, {"panels": panels})[0]


def cadences(data_root, count):
    paths = sorted((data_root / "test").rglob("*.npy"))[:count]
    return np.stack([read_cadence(path) for path in paths]).astype(np.float32)


@pytest.fixture
def decided(monkeypatch):
    """The released networks with larger logits, whose probabilities lie between 0.05 and 0.95."""
    ensemble = load_ensemble("pretrained")
    for classifier in ensemble.classifiers:
        with torch.no_grad():
            classifier.backbone.network.fc.weight.mul_(20)
    monkeypatch.setattr(exporting, "load_ensemble", lambda _: ensemble)
    return ensemble


@pytest.fixture
def one(decided, monkeypatch):
    """The first of these networks alone, which is exported in a fifth of the time."""
    ensemble = replace(decided, classifiers=decided.classifiers[:1], folds=[0])
    monkeypatch.setattr(exporting, "load_ensemble", lambda _: ensemble)
    return ensemble


def test_onnx_gives_the_probabilities_for_any_batch_of_small_panels(one, data_root, tmp_path):
    assert one.spec.normalise == "contrast"
    (path,) = export(f"out={tmp_path}", "rows=16", "bins=64")
    assert path == tmp_path / "needle_net_16x64.onnx"
    panels = cadences(data_root, 4)[:, :, :16, :64]
    expected = one.score(panels, device="cpu", precision="32")
    for count in (1, 4):
        np.testing.assert_allclose(run(path, panels[:count]), expected[:count], atol=1e-5)


@pytest.mark.slow  # the same of one network and small panels is quick
def test_onnx_gives_the_ensembles_probabilities_for_any_batch(decided, data_root, tmp_path):
    (path,) = export(f"out={tmp_path}")
    assert path == tmp_path / "needle_net.onnx"
    panels = cadences(data_root, 4)
    expected = decided.score(panels, device="cpu", precision="32")
    for count in (1, 4):
        np.testing.assert_allclose(run(path, panels[:count]), expected[:count], atol=1e-5)
    about = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert about["ensemble"] == "needle_net"
    assert json.loads(about["folds"]) == [0, 1, 2, 3, 4]
    assert json.loads(about["weights"]) == decided.digests
    assert json.loads(about["input"])["rows"] == 273


@pytest.mark.slow  # format=torch is written and run in the tests of refusals below
def test_torch_gives_each_members_probabilities_for_panels_of_sixteen_rows(decided, data_root, tmp_path, monkeypatch):
    few = replace(decided, classifiers=decided.classifiers[:2], folds=[0, 1])
    monkeypatch.setattr(exporting, "load_ensemble", lambda _: few)
    paths = export(f"out={tmp_path}", "format=torch", "members=each", "rows=16", "bins=64")
    assert [path.name for path in paths] == ["needle_net_16x64_fold_0.pt2", "needle_net_16x64_fold_1.pt2"]
    panels = cadences(data_root, 3)[:, :, :16, :64]
    for number, path in enumerate(paths):
        one = replace(few, classifiers=[few.classifiers[number]], folds=[number])
        np.testing.assert_allclose(run(path, panels), one.score(panels, device="cpu", precision="32"), atol=1e-5)


def test_an_experiment_is_exported_to_its_own_folder_with_its_resizing(finished, predict, outputs, data_root):
    finished("trainer.max_epochs=1", "optimizer.lr=0.01")
    (path,) = export(ckpt_dir=outputs / "exp")
    assert path == outputs / "exp" / "exp.onnx"
    panels = cadences(data_root, 3)
    expected = load_ensemble(outputs / "exp").score(panels, device="cpu", precision="32")
    np.testing.assert_allclose(run(path, panels), expected, atol=1e-5)
    with pytest.raises(SetiError) as error:
        export("rows=16", ckpt_dir=outputs / "exp")
    assert str(error.value) == (
        f"{outputs / 'exp'} takes in panels of 273 x 256, not of 16 x 256: set rows=null bins=null"
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("format=tflite", "format=tflite is none of onnx, torch"),
        ("members=sum", "members=sum is none of mean, each"),
        ("rows=0", "rows=0 must be at least 1, or null for the size that the networks were trained on"),
        (
            "rows=1",
            "the cadences have panels of 1 x 256, and data.layout=dedoppler sums along drift rates: give panels of at "
            "least two rows",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path, word, message):
    with pytest.raises(SetiError) as error:
        export(word, f"out={tmp_path}")
    assert str(error.value) == message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("written", ["[outputs/a,outputs/b]", "'outputs/a,outputs/b'"])
def test_several_experiments_are_refused(tmp_path, monkeypatch, written):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["seti"])
    with pytest.raises(SetiError) as error:
        export(ckpt_dir=written)
    assert str(error.value) == (
        "export takes one experiment, and ckpt_dir has 2: export them one by one, first seti export ckpt_dir=outputs/a"
    )


def test_a_list_of_one_is_that_one(tmp_path):
    settings = compose("export", ["ckpt_dir=[pretrained]", f"out={tmp_path}"])
    exporting.check_export(settings)
    assert settings.ckpt_dir == "pretrained"


def test_without_the_extra_onnx_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "find_spec", lambda name: None if name == "onnxscript" else True)
    with pytest.raises(SetiError) as error:
        export(f"out={tmp_path}")
    assert str(error.value) == (
        "format=onnx needs the extra 'export', without which onnxscript is missing: pip install 'seti[export]'"
    )


class Erf(nn.Module):
    """A layer that ONNX has no operator for."""

    def forward(self, images):
        return torch.special.i0(images.mean(dim=(1, 2, 3)))


class Branch(nn.Module):
    """A layer that runs in another way for other values."""

    def forward(self, images):
        return images.mean(dim=(1, 2, 3)) if images.sum() > 0 else images.amax(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("layer", "form", "reason"),
    [(Erf, "onnx", r"it has no [\w.]*i0[\w.]*\); format=torch may"), (Branch, "torch", r".*\)")],
)
def test_networks_that_a_format_cannot_express_are_refused_in_one_line(one, tmp_path, layer, form, reason):
    one.classifiers[0].backbone = layer()
    with pytest.raises(SetiError, match=rf"^format={form} cannot express these networks \({reason}$") as error:
        export(f"out={tmp_path}", f"format={form}", "rows=8", "bins=16")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_gives_other_probabilities_is_not_written(one, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "run_file", lambda path, form, panels: np.full(len(panels), 0.5))
    with pytest.raises(SetiError, match=r"^format=torch gives probabilities that differ .*: nothing was written$"):
        export(f"out={tmp_path}", "format=torch", "rows=8", "bins=16")
    assert not list(tmp_path.iterdir())
