import hashlib
import json
import shutil

import pytest
import torch

from seti.errors import SetiError
from seti.models.needle_net import NeedleNet
from seti.models.release_files import PACKAGED, read_release, read_weights, released_names, write_release
from seti.models.release_names import SHIPPED, find_release, written_as
from seti.models.released import load_released, start_from

SPEC = {
    "panels": "all",
    "layout": "dedoppler",
    "image_size": None,
    "interpolation": "linear",
    "rows": 273,
    "bins": 256,
    "normalise": "whiten",
    "clip": [-4.0, 10.0],
    "remove_spike": False,
    "dedoppler": {"max_drift": 32.0, "drifts": 33, "gap": [0.0, 56.0]},
}


@pytest.fixture
def release(tmp_path):
    """A release of two small networks."""
    torch.manual_seed(0)
    weights = {fold: NeedleNet().state_dict() for fold in (0, 3)}
    return write_release(tmp_path / "mine", "needle_net", SPEC, weights, note="of a test")


def test_the_package_holds_a_release_under_two_megabytes():
    assert "needle_net" in released_names()
    assert sum(path.stat().st_size for path in PACKAGED.rglob("*") if path.is_file()) < 2e6


def test_the_releases_of_the_package_are_known_by_name():
    assert released_names() == sorted(SHIPPED)


@pytest.mark.parametrize("gone", ["release.json", "folder"])
@pytest.mark.parametrize("written", ["pretrained", "pretrained/needle_net", "pretrained/needle_net_broad/"])
def test_a_release_that_the_package_has_lost_is_installed_again(tmp_path, monkeypatch, gone, written):
    monkeypatch.setattr("seti.models.release_files.PACKAGED", tmp_path)
    name = "needle_net_broad" if "broad" in written else "needle_net"
    if gone != "folder":
        (tmp_path / name).mkdir()
    with pytest.raises(SetiError) as error:
        find_release(written)
    assert str(error.value) == (
        f"the release {name} of this package has no {tmp_path / name / 'release.json'}: install the package again"
    )


def test_every_released_network_scores_cadences():
    for name in released_names():
        members = load_released(name)
        assert [type(spec).__name__ for _, spec in members] == ["InputSpec"] * len(members)
        network, spec = members[0]
        assert not network.training
        with torch.inference_mode():
            logits = network(torch.zeros(2, 6, *spec.image_shape))
        assert logits.shape == (2,)
        assert logits.isfinite().all()


def test_a_release_is_read_as_it_was_written(release):
    assert release.name == "mine"
    assert list(release.folds) == [0, 3]
    assert release.record["note"] == "of a test"
    torch.manual_seed(0)
    expected = NeedleNet().state_dict()
    read = read_weights(release, 0)
    assert read.keys() == expected.keys()
    for name, tensor in read.items():
        assert tensor.dtype == expected[name].dtype
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-6)


def test_networks_of_a_folder_are_loaded_with_their_weights(release):
    (first, spec), (second, _) = load_released(release.folder)
    assert spec.plain() == SPEC
    stored = read_weights(release, 3)
    assert torch.equal(second.backbone.network.fc.weight, stored["fc.weight"])
    assert not torch.equal(first.backbone.network.fc.weight, stored["fc.weight"])


def test_an_unknown_release_is_refused():
    known = ", ".join(released_names())
    with pytest.raises(SetiError, match=f"^nedle is not a release: give the name of one \\({known}\\), or a folder"):
        read_release("nedle")


def test_a_fold_that_a_release_lacks_is_refused(release):
    with pytest.raises(SetiError, match=r"mine has no fold 1: it has 0, 3$"):
        read_weights(release, 1)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_weights_are_refused(release, damage):
    path = release.folds[0]
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-100] ^= 1
    path.write_bytes({"flip": content, "cut": content[:1000], "empty": b""}[damage])
    with pytest.raises(SetiError, match=r"fold_0.safetensors are damaged, .*: copy the whole folder again$"):
        load_released(release.folder)


def test_missing_weights_are_refused(release):
    release.folds[3].unlink()
    with pytest.raises(SetiError, match=r"^weights .*fold_3.safetensors are missing: copy the whole folder again$"):
        load_released(release.folder)


def test_a_file_of_another_kind_is_refused_without_running_it(release):
    torch.save({"weights": torch.zeros(3)}, release.folds[0])
    record = json.loads((release.folder / "release.json").read_text())
    record["files"]["fold_0.safetensors"] = hashlib.sha256(release.folds[0].read_bytes()).hexdigest()
    (release.folder / "release.json").write_text(json.dumps(record))
    with pytest.raises(SetiError, match=r"^weights .*fold_0.safetensors cannot be read \(.*\): copy the whole folder"):
        load_released(release.folder)


def test_weights_of_another_network_are_refused(release, tmp_path):
    foreign = write_release(tmp_path / "foreign", "needle_net", SPEC, {0: NeedleNet(width=8).state_dict()})
    with pytest.raises(SetiError, match=r"^the weights of .* do not fit needle_net \(.*another version or program$"):
        load_released(foreign.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, r"has format 2, this version reads 1: install a newer version$"),
        ({"format": "1"}, r"is not the record of a release \(its format is missing or wrong\)"),
        ({"spec": None}, r"is not the record of a release \(its spec is missing or wrong\)"),
        ({"files": {}}, r"is not the record of a release \(its files are wrong\)"),
        ({"files": {"../fold_0.safetensors": "0"}}, r"is not the record of a release \(its files are wrong\)"),
        ({"files": {"fold_x.safetensors": "0"}}, r"is not the record of a release \(its files are wrong\)"),
        ({"spec": {"panels": "all"}}, r"do not fit needle_net"),
        ({"backbone": "needle_nut"}, r"needle_nut is not a network of timm"),
    ],
)
def test_a_wrong_record_is_refused(release, change, message):
    path = release.folder / "release.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SetiError, match=message):
        load_released(release.folder)


def test_a_damaged_record_is_refused(release):
    (release.folder / "release.json").write_text('{"format": 1,')
    with pytest.raises(SetiError, match=r"release.json"):
        load_released(release.folder)


def test_writing_again_replaces_every_file(release):
    again = write_release(release.folder, "needle_net", SPEC, {1: NeedleNet().state_dict()})
    assert list(again.folds) == [1]
    assert sorted(path.name for path in release.folder.iterdir()) == ["fold_1.safetensors", "release.json"]
    shutil.rmtree(release.folder)


def test_a_release_is_named_as_a_setting_does(release):
    assert written_as(find_release("pretrained")) == "pretrained/needle_net"
    assert written_as(find_release(str(release.folder))) == str(release.folder)


def test_a_fold_starts_from_its_own_member_or_the_next_round_of_them(release):
    assert [start_from(release.folder, fold, NeedleNet()) for fold in range(4)] == [(0, 2), (3, 2), (0, 2), (3, 2)]
