"""Packing that is stopped, killed or out of space, and goes on."""

import errno
import multiprocessing
import os
import shutil
import signal

import numpy as np
import pytest
from test_pack import COUNT, assert_same, contents, opened, path_of, refusal
from unit_helpers import make_train_set

from seti.data import pack_reader, pack_rows
from seti.data import pack_writer as pack
from seti.data.sources import CadenceFiles
from seti.utils.shutdown import Interrupted


@pytest.fixture
def root(tmp_path):
    make_train_set(tmp_path / "data", COUNT, 10)
    return tmp_path / "data"


def stopped(call, *args, **options) -> str:
    with pytest.raises(Interrupted) as caught:
        call(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_stopped_run_goes_on_and_ends_the_same(root, tmp_path, monkeypatch, stop):
    whole = pack.pack_split(root, "train", "A", tmp_path / "whole")
    work, done = pack_rows._pack_block, []

    def stops(target, job):
        if len(done) == stop:
            raise Interrupted(signal.SIGINT)
        done.append(job)
        return work(target, job)

    monkeypatch.setattr(pack_rows, "_pack_block", stops)
    assert "goes on" in stopped(pack.pack_split, root, "train", "A")
    store = opened(root)
    assert isinstance(store, CadenceFiles)
    assert "is not finished" in store.description
    read = []

    def counts(path, *args, **options):
        read.append(path)
        return packs(path, *args, **options)

    packs = pack_rows.read_cadence
    monkeypatch.setattr(pack_rows, "_pack_block", work)
    monkeypatch.setattr(pack_rows, "read_cadence", counts)
    made = pack.pack_split(root, "train", "A")
    assert len(read) == COUNT - stop * pack_rows._BLOCK
    assert contents(made.folder) == contents(whole.folder)


def test_rows_that_did_not_reach_the_disk_are_packed_again(root, tmp_path, monkeypatch):
    whole = pack.pack_split(root, "train", "A", tmp_path / "whole")
    monkeypatch.setattr(pack, "_sync", lambda path: (_ for _ in ()).throw(Interrupted(signal.SIGINT)))
    stopped(pack.pack_split, root, "train", "A")
    monkeypatch.undo()
    partial = pack_reader.PackFiles(root / "packed", "train", "A").partial
    with partial.open("r+b") as stream:
        stream.seek(1000)
        stream.write(bytes(3000))
    with (root / "packed" / "train-A.csv.part").open("a") as stream:
        stream.write("69,half a li")
    assert contents(pack.pack_split(root, "train", "A").folder) == contents(whole.folder)


@pytest.mark.parametrize("step", ["write_csv", "write_json"])
def test_stopped_between_the_last_steps(root, tmp_path, monkeypatch, step):
    whole = pack.pack_split(root, "train", "A", tmp_path / "whole")
    monkeypatch.setattr(pack.files, step, lambda *args: (_ for _ in ()).throw(Interrupted(signal.SIGINT)))
    stopped(pack.pack_split, root, "train", "A")
    monkeypatch.undo()
    assert isinstance(opened(root), CadenceFiles), "without a manifest there is no pack"
    monkeypatch.setattr(pack_rows, "read_cadence", None)  # nothing is read again
    assert contents(pack.pack_split(root, "train", "A").folder) == contents(whole.folder)


def test_killed_in_the_very_last_step(root, tmp_path, monkeypatch):
    whole = pack.pack_split(root, "train", "A", tmp_path / "whole")
    write = pack.files.write_json

    def killed(*args):
        write(*args)
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(pack.files, "write_json", killed)
    stopped(pack.pack_split, root, "train", "A")
    monkeypatch.undo()
    assert contents(pack.pack_split(root, "train", "A").folder) == contents(whole.folder)


def test_a_partial_pack_of_changed_sources_is_started_again(root, monkeypatch):
    monkeypatch.setattr(pack, "_sync", lambda path: (_ for _ in ()).throw(Interrupted(signal.SIGINT)))
    stopped(pack.pack_split, root, "train", "A")
    monkeypatch.undo()
    np.save(path_of(root, 4), np.ones((6, 8, 12), np.float16))
    pack.pack_split(root, "train", "A")
    assert_same(opened(root, packed="true"), root)


def test_killed_at_random_moments(root, tmp_path, monkeypatch):
    whole = pack.pack_split(root, "train", "A", tmp_path / "whole")
    monkeypatch.setattr(pack_rows, "_BLOCK", 3)
    context, rng, kills = multiprocessing.get_context("fork"), np.random.default_rng(0), 0
    for _ in range(20):
        process = context.Process(target=pack.pack_split, args=(root, "train", "A"))
        process.start()
        process.join(float(rng.uniform(0.002, 0.04)))
        if not process.is_alive():
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
    pack.pack_split(root, "train", "A")
    assert kills
    assert contents(root / "packed") == contents(whole.folder)


def test_no_room(root, monkeypatch):
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(pack.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    message = refusal(pack.pack_split, root, "train", "A")
    assert f"needs {(128 + COUNT * 576) / 1e9:.3g} GB more" in message
    assert isinstance(opened(root), CadenceFiles)


def test_a_disk_that_fills_up(root, tmp_path, monkeypatch):
    whole = pack.pack_split(root, "train", "A", tmp_path / "whole")

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pack_rows.os, "pwrite", full)
    assert "GB more and" in refusal(pack.pack_split, root, "train", "A")
    assert isinstance(opened(root), CadenceFiles)
    monkeypatch.undo()
    assert contents(pack.pack_split(root, "train", "A").folder) == contents(whole.folder)


def test_a_place_that_cannot_be_written(root, tmp_path):
    (tmp_path / "file").write_text("")
    assert "set pack_dir to another folder" in refusal(pack.pack_split, root, "train", "A", tmp_path / "file" / "packs")
