import os
import zipfile

import pytest
import torch

from seti.errors import SetiError
from seti.utils.safe_load import read_checkpoint


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def path(tmp_path):
    torch.save({"weights": torch.arange(500.0), "epoch": 3}, tmp_path / "x.ckpt")
    return tmp_path / "x.ckpt"


def refusal(path):
    with pytest.raises(SetiError) as caught:
        read_checkpoint(path, "do this")
    message = str(caught.value)
    assert message.startswith(f"checkpoint {path} ")
    assert message.endswith(": do this")
    assert "\n" not in message
    return message


def test_a_checkpoint_is_read_as_written(path):
    assert torch.equal(read_checkpoint(path, "")["weights"], torch.arange(500.0))


def test_one_flipped_bit_is_noticed(path):
    """torch itself reads the file without complaint, as another number."""
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(500.0).numpy().tobytes()) + 803] ^= 0x40
    path.write_bytes(content)
    assert not torch.equal(torch.load(path, weights_only=True)["weights"], torch.arange(500.0))
    assert "its part 'x/data/0' is damaged" in refusal(path)


@pytest.mark.parametrize("size", [0, 10, 1000, -1])
def test_a_truncated_file_is_refused(path, size):
    path.write_bytes(path.read_bytes()[:size])
    assert "it is truncated, or not a checkpoint" in refusal(path)


def test_compressed_members_are_not_unpacked(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(10**7))
    assert path.stat().st_size < 10**5
    assert "its part 'x/data.pkl' is damaged" in refusal(path)


def test_code_in_a_checkpoint_is_named_and_not_run(path, tmp_path):
    torch.save({"epoch": Trap(tmp_path / "sprung")}, path)
    message = refusal(path)
    assert "besides numbers it contains posix.system, which could run code; none was run" in message
    assert not (tmp_path / "sprung").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "sprung").exists(), "the trap itself works"


def test_other_content_is_refused(path):
    torch.save([1, 2], path)
    assert "it holds a list" in refusal(path)
    path.unlink()
    assert "is missing" in refusal(path)


def test_code_in_an_unfinished_folds_checkpoint_is_not_run(train, outputs, tmp_path):
    last = outputs / "exp" / "fold_0" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    torch.save({"epoch": Trap(tmp_path / "sprung"), "callbacks": {}}, last)
    with pytest.raises(SetiError, match=r"last.ckpt cannot be loaded \(besides numbers it contains posix.system"):
        train()
    assert not (tmp_path / "sprung").exists()


def test_an_unfinished_folds_checkpoint_from_another_program_is_refused(train, outputs):
    last = outputs / "exp" / "fold_0" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    for callbacks in ({}, {"History": {"origin": 3}}, {"History": {"origin": {"config": 1}}}, [], {"History": []}):
        torch.save({"epoch": 1, "callbacks": callbacks}, last)
        with pytest.raises(
            SetiError, match=r"last.ckpt was not written by this program, or by an older version of it: give another"
        ):
            train()
