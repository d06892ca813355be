"""Training of the released networks: a handful of cadences, tiny networks."""

import json

import numpy as np
import pytest
import torch

from seti.errors import SetiError
from seti.models.needle_net import NeedleNet
from seti.models.release_files import read_release
from seti.models.released import load_released
from seti.release import train as program
from seti.release.fixed_sets import fixed_set
from seti.release.members import Members, rate
from seti.release.publish import calibrated, publish, score
from seti.release.settings import FOLDS, NETWORKS, Settings
from seti.release.training import train
from seti.simulation.stream import draw_stream_cadence
from seti.utils.safe_load import read_checkpoint

SMALL = {"tiny": {"backbone": "needle_net", "options": {"width": 2, "depth": 1}, "folds": [0, 1]}}
TINY = Settings(networks=SMALL, cadences=16, arrivals=4, uses=2, replay=8)


@pytest.fixture(scope="module")
def held_out():
    return fixed_set("stream", draw_stream_cadence, 7, 8, 0)


def weights_of(members):
    return {name: tensor.clone() for name, tensor in members.averages.state_dict().items()}


def test_a_stopped_training_goes_on_to_the_same_weights(held_out, tmp_path):
    settings = Settings(networks=SMALL, cadences=16, arrivals=4)
    whole = train(settings, [held_out], tmp_path / "whole", 0, 2)

    class StopError(Exception):
        pass

    def fail_after_half(self, batch, index, original=Members.training_step):
        if self.seen == 8:
            raise StopError
        original(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Members, "training_step", fail_after_half)
        with pytest.raises(StopError):
            train(settings, [held_out], tmp_path / "parts", 0, 2, save_every=-1)
    assert read_checkpoint(tmp_path / "parts" / "last.ckpt", "")["progress"]["seen"] == 8
    again = train(settings, [held_out], tmp_path / "parts", 0, 2)
    assert (again.seen, again.steps) == (whole.seen, whole.steps) == (16, 4)
    for (name, tensor), other in zip(weights_of(whole).items(), weights_of(again).values(), strict=True):
        assert torch.equal(tensor, other), name


def test_a_training_with_other_settings_is_not_continued(held_out, tmp_path):
    train(TINY, [held_out], tmp_path, 0, 100)
    with pytest.raises(SetiError, match=r"last.ckpt is of a training with seed=0, now 1: remove it to start again"):
        train(Settings(networks=SMALL, cadences=16, arrivals=4, uses=2, replay=8, seed=1), [held_out], tmp_path, 0, 100)


def test_a_limit_is_required(tmp_path):
    with pytest.raises(SetiError, match=r"^training would never end: set a limit of cadences or of minutes$"):
        train(Settings(networks=SMALL), [], tmp_path, 0, 100)


def test_a_member_does_not_learn_from_its_fold():
    members = Members(TINY.plain())
    optimizer = members.configure_optimizers()
    members.optimizers = lambda: optimizer
    members.manual_backward = lambda loss: loss.backward()
    before = [{name: part.clone() for name, part in network.state_dict().items()} for network in members.networks]
    panels = torch.randn(3, 6, 273, 256)
    members.training_step((panels, torch.tensor([0.0, 1.0, 1.0]), FOLDS * torch.arange(3) + 1), 0)  # all of fold 1
    after = [network.state_dict() for network in members.networks]
    assert not torch.equal(before[0]["fc.weight"], after[0]["fc.weight"])  # holds out fold 0
    assert all(torch.equal(before[1][name], tensor) for name, tensor in after[1].items())


def test_averages_follow_weights_and_batch_statistics(held_out, tmp_path):
    members = train(TINY, [held_out], tmp_path, 0, 100)
    for average, network in zip(members.averages, members.networks, strict=True):
        assert not average.training
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                assert not torch.equal(average.state_dict()[name], tensor), name


def test_scores_of_the_fixed_sets_are_written(held_out, tmp_path):
    train(TINY, [held_out], tmp_path, 0, 2)
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [line["seen"] for line in lines] == [8, 16]
    assert set(lines[-1]["stream/tiny"]) == {"auc", "recall", "member_auc"}


def test_the_rate_rises_to_one_and_falls_to_zero():
    assert rate(0, 0.1) == pytest.approx(0.1)
    assert rate(0.1, 0.1) == pytest.approx(1)
    assert rate(0.55, 0.1) == pytest.approx(0.5)
    assert rate(1, 0.1) == pytest.approx(0)


def test_the_nearer_limit_is_the_progress():
    members = Members(Settings(networks=SMALL, cadences=100, minutes=1.0).plain())
    members.seen = 40
    assert members.progress == 0.4
    members.before = 45.0
    assert members.progress == 0.75


def test_a_release_scores_as_its_members_did(held_out, tmp_path):
    networks = {"swift": {"backbone": "needle_net_swift", "folds": [0, 3]}}
    members = train(Settings(networks=networks, cadences=8, arrivals=4), [held_out], tmp_path, 0, 100)
    members.eval()
    (release,) = publish(members, [held_out], tmp_path / "released", {"command": "a test"})
    calibration = release.record["calibration"]
    expected = score(members, held_out) * calibration["slope"] + calibration["offset"]
    for column, (network, spec) in enumerate(load_released(release.folder)):
        with torch.inference_mode():
            images = members.planes["contrast"].usual(held_out.panels)
            logits = network(images).numpy()
        assert spec.plain() == members.hparams["spec"]
        np.testing.assert_allclose(logits, expected[:, column], atol=0.02)
    card = json.loads((release.folder / "card.json").read_text())
    assert card["sets"]["stream"]["cadences"] == 8
    assert read_release(release.folder).record["trained"] == {"command": "a test"}


def test_calibration_is_part_of_the_last_layer():
    network = NeedleNet(width=2).eval()
    planes = torch.randn(3, 6, 33, 64)
    before = network(planes)
    network.load_state_dict(calibrated(network.state_dict(), 0.5, -2.0))
    torch.testing.assert_close(network(planes), 0.5 * before - 2)


def test_the_program_trains_scores_and_writes_releases(tmp_path, capsys):
    limits = "--cadences 8 --arrivals 4 --held-out 6 --others 6 --quick 4 --validate-every 100 --workers 0"
    program.main([*limits.split(), "--out", str(tmp_path), "--networks", json.dumps(SMALL)])
    printed = capsys.readouterr().out
    assert "tiny on stream: AUC" in printed
    assert "tiny on radiometer: AUC" in printed
    assert printed.endswith(f"next:  python -m seti.release.card {tmp_path / 'released'}\n")
    record = json.loads((tmp_path / "released" / "tiny" / "release.json").read_text())
    assert record["trained"]["cadences"] == 8
    assert record["trained"]["settings"]["networks"] == SMALL


def test_the_usual_networks_are_known_to_timm():
    members = Members(Settings(cadences=1).plain())
    assert members.keys == [("needle_net", fold) for fold in range(FOLDS)] + [("needle_net_broad", 0)]
    assert set(NETWORKS) == {"needle_net", "needle_net_broad"}
