import shutil

import fake_ray
import numpy as np
import pytest
from conftest import compose

from seti.errors import SetiError
from seti.inference import ensemble, pool, shards
from seti.inference.predict import predict as run
from seti.reports import gallery
from seti.utils import locks
from seti.utils.ray_pool import Cluster

TABLES = ("predictions.csv", "submission.csv")
FAST = ("device=cpu", "data.batch_size=2", "data.num_workers=0")


@pytest.fixture(autouse=True)
def small_gallery(monkeypatch):
    monkeypatch.setattr(gallery, "GALLERY_COUNT", 1)


@pytest.fixture
def trained(finished, outputs):
    for fold in (0, 1):
        finished("trainer.max_epochs=1", "optimizer.lr=0.01", f"fold={fold}")
    return outputs / "exp"


@pytest.fixture
def watched(monkeypatch):
    """Numbers of the cadences that were predicted, by network run."""
    seen = []
    original = ensemble.Ensemble.__call__

    def watch(self, views):
        found = original(self, views)
        seen.append(len(found))
        return found

    monkeypatch.setattr(ensemble.Ensemble, "__call__", watch)
    return seen


def contents(folder):
    return {name: (folder / name).read_bytes() for name in TABLES}


def predict(folder, *overrides):
    return run(compose("predict", [f"ckpt_dir={folder}", *FAST, *overrides]))


@pytest.mark.parametrize("choices", [("precision=32",), ("precision=auto", "flips=true", "average=rank")])
def test_shards_of_an_experiment_give_the_bytes_of_one_run(trained, choices, capsys):
    auc = predict(trained, *choices)
    whole = contents(trained)
    for name in TABLES:
        (trained / name).unlink()
    capsys.readouterr()
    assert np.isnan(predict(trained, *choices, "shard=2/3"))
    assert not (trained / "predictions.csv").exists()
    said = capsys.readouterr().out
    assert f"{trained}: shard 2/3 is done, " in said
    assert " cadences are. The shard that ends last writes the predictions" in said
    assert np.isnan(predict(trained, *choices, "shard=1/3"))
    assert predict(trained, *choices, "shard=3/3") == auc
    said = capsys.readouterr().out
    assert "All shards are: writing the predictions" in said
    assert "test AUC" in said
    assert contents(trained) == whole


def test_a_shard_is_predicted_once_and_goes_on_where_it_was_killed(trained, data_root, watched, monkeypatch):
    predict(trained, "precision=32")
    whole, each = contents(trained), list(watched)
    monkeypatch.setattr(shards, "PART_SECONDS", 0.0)  # a part a batch
    watched.clear()
    monkeypatch.setattr(ensemble, "_in_threads", _killed_after(2))
    with pytest.raises(KeyboardInterrupt):
        predict(trained, "precision=32", "shard=1/2")
    monkeypatch.undo()
    assert len(list((trained / shards.FOLDER).glob("*/*.npz"))) == 2  # the first batch and one of the two in threads
    monkeypatch.setattr(gallery, "GALLERY_COUNT", 1)
    predict(trained, "precision=32", "shard=1/2")
    predict(trained, "precision=32", "shard=2/2")
    (trained / "predictions.csv").unlink()
    predict(trained, "precision=32", "shard=1/2")  # again: nothing is left but the tables
    assert contents(trained) == whole
    predict(trained, "precision=32", "shard=3/5")  # another division finds the same parts
    assert len(each) == 6


def _killed_after(count):
    def in_threads(work, batches, dataset):
        for number, indices in enumerate(batches, 2):
            if number > count:
                raise KeyboardInterrupt
            yield work(dataset.__getitems__(indices))

    return in_threads


def test_nothing_is_predicted_twice(trained, watched):
    predict(trained, "precision=32", "shard=1/2")
    first = sum(watched)
    predict(trained, "precision=32", "shard=1/2")
    assert sum(watched) == first
    predict(trained, "precision=32")  # without shard: what is left, and all parts are removed
    total = len((trained / "predictions.csv").read_text().splitlines()) - 1
    assert sum(watched) == total
    assert not (trained / shards.FOLDER).exists()


def test_parts_of_other_settings_or_cadences_are_not_joined(trained, own_data, watched):
    root = f"data.root={own_data}"
    predict(trained, root, "precision=32", "shard=1/2")
    first = sum(watched)
    predict(trained, root, "precision=32", "flips=true", "shard=2/2")
    assert not (trained / "predictions.csv").exists()
    path = sorted((own_data / "test").rglob("*.npy"))[0]
    cadence = np.load(path)
    path.unlink()
    np.save(path, cadence[:, ::-1])
    before = sum(watched)
    predict(trained, root, "precision=32", "shard=1/2")
    assert sum(watched) - before == first


def test_a_damaged_part_is_named_and_made_again(trained, caplog, capsys):
    predict(trained, "precision=32")
    whole = contents(trained)
    predict(trained, "precision=32", "shard=1/2")
    (part,) = (trained / shards.FOLDER).glob("*/*.npz")
    part.write_bytes(part.read_bytes()[:100])
    predict(trained, "precision=32", "shard=2/2")
    assert [record.message for record in caplog.records if "damaged" in record.message] == [
        f"{part} is damaged, and left out"
    ]
    assert "The shard that ends last writes the predictions; not done: shard=1/2\n" in capsys.readouterr().out
    (trained / "predictions.csv").unlink()
    caplog.clear()
    predict(trained, "precision=32", "shard=1/2")
    assert f"{part} is damaged, and left out; its cadences are predicted again" in caplog.text
    assert contents(trained) == whole
    caplog.clear()
    predict(trained, "precision=32", "shard=2/2")  # the part has been written again
    assert "damaged" not in caplog.text


def test_a_shard_without_a_batch_says_so(trained, capsys):
    predict(trained, "precision=32", "data.batch_size=100", "shard=1/2")
    said = capsys.readouterr().out
    assert "shard 1/2 has no cadences: shards are whole batches of up to 100, and " in said
    assert " cadences make 1 batch\n" in said
    assert "not done: shard=2/2\n" in said


def test_several_experiments_and_any_folder_are_divided(trained, data_root, tmp_path, monkeypatch):
    other = trained.with_name("other")
    shutil.copytree(trained, other)
    both = f"[{trained},{other}]"
    predict(both, "precision=32")
    whole = contents(trained), contents(other)
    for folder in (trained, other):
        (folder / "predictions.csv").unlink()
    predict(both, "precision=32", "shard=1/2")
    predict(both, "precision=32", "shard=2/2")
    assert (contents(trained), contents(other)) == whole

    monkeypatch.chdir(tmp_path)
    shutil.copytree(data_root / "test", "night")
    night = ("data.root=night", "precision=32")
    predict("pretrained", *night, "out=one")
    predict("pretrained", *night, "out=two", "shard=2/2")
    assert not (tmp_path / "two" / "predictions.csv").exists()
    predict("pretrained", *night, "out=two", "shard=1/2")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("typed", ["3/2", "0/2", "2"])
def test_a_shard_that_is_none_is_refused(trained, typed):
    with pytest.raises(SetiError) as refused:
        predict(trained, f"shard={typed}")
    assert str(refused.value) == f"shard={typed} is not a shard: the second of four is shard=2/4"


def test_one_run_a_shard(trained, monkeypatch):
    monkeypatch.setattr(shards, "PATIENCE", 0.0)
    with shards.only_shard(trained, (1, 2)), pytest.raises(locks.LockedError, match="is in use by another run"):
        predict(trained, "shard=1/2")


def test_actors_give_the_bytes_of_one_run_and_go_on_after_an_interruption(trained, data_root, tmp_path, monkeypatch):
    predict(trained, "precision=auto", "flips=true")
    whole = contents(trained)
    for name in TABLES:
        (trained / name).unlink()
    fake_ray.install(monkeypatch, fake_ray.FakeRay(kills=[2], error=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        predict(trained, "precision=auto", "flips=true", "launcher=ray")
    assert len(list((trained / shards.FOLDER).glob("*/*.npz"))) == 2
    ray = fake_ray.install(monkeypatch, fake_ray.FakeRay(kills=[1]))
    predict(trained, "precision=auto", "flips=true", "launcher=ray")
    assert contents(trained) == whole
    assert ray.started == 3  # one was killed
    assert not (trained / shards.FOLDER).exists()

    monkeypatch.chdir(tmp_path)
    shutil.copytree(data_root / "test", "night")
    night = ("data.root=night", "precision=32")
    predict("pretrained", *night, "out=one")
    predict("pretrained", *night, "out=two", "launcher=ray", "shard=2/2")
    predict("pretrained", *night, "out=two", "launcher=ray", "shard=1/2")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_turn_of_an_actor_is_a_batch_at_first_and_then_some_seconds():
    turns = pool._Turns([range(4 * start, 4 * start + 4) for start in range(100)], 2)
    sizes = []
    for rows, _ in turns:
        sizes.append(len(rows))
        turns.measure(len(rows), len(rows) * pool.TURN_SECONDS / 40)  # 10 batches take the time of a turn
    assert sizes[:8] == [4, 40, 40, 40, 40, 36, 32, 28]  # then a sixth of what is left
    assert sizes[-1] == 4
    assert sum(sizes) == 400


def test_the_device_is_that_of_the_actors():
    cluster = Cluster(fake_ray.FakeRay({"CPU": 4.0, "GPU": 1.0}), fake_ray.SETTINGS)
    assert pool.Place.choose("auto", cluster).device.type == "cuda"  # though this machine may have none
    assert pool.Place.choose("cpu", cluster).device.type == "cpu"
    without = Cluster(fake_ray.FakeRay(), fake_ray.SETTINGS)
    assert pool.Place.choose("auto", without).device.type == "cpu"
