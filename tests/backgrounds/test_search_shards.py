import pytest
from shared_fields import write_usual

from seti.backgrounds import fingerprinting, parts, search, table
from seti.backgrounds.search import find_in_shards, find_twins
from seti.data.competition import cadence_path
from seti.utils import locks

FILES = (table.TABLE, table.LINKS, table.SOURCES, table.RECORD)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Four blocks of the eight cadences."""
    monkeypatch.setattr(fingerprinting, "BLOCK", 2)


@pytest.fixture
def root(tmp_path):
    return write_usual(tmp_path / "set")


def contents(root):
    return {name: (root / name).read_bytes() for name in FILES}


def find(root, number, count):
    return find_in_shards(root, None, 1, (number, count))


def count_reads(monkeypatch):
    """Blocks that are read from now on, by the name of their part."""
    read = []
    original = fingerprinting._fingerprint_block

    def watch(bins, job):
        read.append(job[0].stem)
        return original(bins, job)

    monkeypatch.setattr(fingerprinting, "_fingerprint_block", watch)
    return read


def test_shards_give_the_bytes_of_one_search(root, capsys, monkeypatch):
    find_twins(root, workers=1)
    whole = contents(root)
    for name in FILES:
        (root / name).unlink()
    read = count_reads(monkeypatch)
    assert find(root, 3, 3) is None
    assert find(root, 1, 3) is None
    assert (
        f"{root}: shard 1/3 is done, 6 of 8 cadences are. The shard that ends last finds the twins; not "
        "done: shard=2/3\n"
    ) in capsys.readouterr().out
    found = find(root, 2, 3)
    assert "shard 2/3 is done, 8 of 8 cadences are. All shards are: finding the twins" in capsys.readouterr().out
    assert found.counts["groups"] == 2
    assert contents(root) == whole
    assert sorted(read) == [f"fingerprints-{number}" for number in range(4)]
    assert not parts.folder_of(root).exists()


def test_a_shard_goes_on_where_it_was_killed_and_is_done_once(root, monkeypatch, capsys):
    read = count_reads(monkeypatch)
    find(root, 1, 2)
    (parts.folder_of(root) / "fingerprints-1.npz").write_bytes(b"half")
    find(root, 1, 2)
    assert read == ["fingerprints-0", "fingerprints-1", "fingerprints-1"]
    find(root, 4, 4)  # another division takes what is there
    assert find(root, 2, 2) is not None
    assert read[3:] == ["fingerprints-3", "fingerprints-2"]
    capsys.readouterr()
    assert find(root, 1, 2) is None
    assert capsys.readouterr().out == (
        f"{root}: shard 1/2 is done: {root}/twins.csv is there, and of these cadences; without shard, the command "
        "makes it again\n"
    )
    cadence_path(root, "train", "x").unlink()
    assert find(root, 1, 2) is None
    assert "shard 1/2 is done, 4 of 8 cadences are." in capsys.readouterr().out


def test_a_killed_merge_is_made_again_by_any_shard(root, monkeypatch):
    find(root, 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(search, "conclude", _killed)
        with pytest.raises(KeyboardInterrupt):
            find(root, 2, 2)
    assert find(root, 1, 2).counts["groups"] == 2


def _killed(*_):
    raise KeyboardInterrupt


def test_a_shard_has_one_run_and_another_shard_may_merge_meanwhile(root, monkeypatch, capsys):
    monkeypatch.setattr(search, "PATIENCE", 0.0)
    with (
        locks.hold(root, "finding twins", name=".twins_shard_1_of_2.lock"),
        pytest.raises(locks.LockedError, match="is in use by another run"),
    ):
        find(root, 1, 2)
    find(root, 1, 2)
    original = search.fingerprint_shard

    def other_ends_first(*args):
        done = original(*args)
        find_twins(root, workers=1)
        return done

    monkeypatch.setattr(search, "fingerprint_shard", other_ends_first)
    capsys.readouterr()
    assert find(root, 2, 2) is None
    assert f"{root}/twins.csv was made by another shard meanwhile" in capsys.readouterr().out
