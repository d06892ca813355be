"""Writing of filterbank files: whole or not at all."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from observation_files import ATTRIBUTES, power

from seti.data import hdf5_filterbank
from seti.data.filterbank_writer import write_filterbank, writing
from seti.data.observation import open_observation
from seti.errors import SetiError

h5py = pytest.importorskip("h5py")


@pytest.mark.parametrize("suffix", [".h5", ".fil"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_parts_may_come_in_any_order(tmp_path, suffix, sign):
    path, values = tmp_path / f"a{suffix}", power((3, 128))
    with writing(path, {**ATTRIBUTES, "foff": sign * 1e-6}, (3, 1, 128)) as writer:
        for k in (1, 0):
            first = 64 * (k if sign > 0 else 1 - k)
            writer.write(64 * k, values[:, first : first + 64])
    with open_observation(path, 64) as observation:
        assert np.array_equal(observation.read(0, 128), values)


def test_h5_is_compressed_as_observations_are(tmp_path):
    pytest.importorskip("hdf5plugin")
    write_filterbank(tmp_path / "a.h5", ATTRIBUTES, power((3, 128)))
    with h5py.File(tmp_path / "a.h5") as file:
        data = file["data"]
        assert data.id.get_create_plist().get_filter(0)[0] == 32008  # bitshuffle
        assert data.chunks == (1, 1, 128)
        assert [data.dims[axis].label for axis in range(3)] == ["time", "feed_id", "frequency"]
        assert (file.attrs["CLASS"], file.attrs["VERSION"]) == ("FILTERBANK", "1.0")
        assert (data.attrs["nchans"], data.attrs["nifs"], data.attrs["nbits"]) == (128, 1, 32)


def test_h5_is_written_plainly_without_the_plugin(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_filterbank, "import_plugin", lambda: None)
    write_filterbank(tmp_path / "a.h5", ATTRIBUTES, power((3, 128)))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["data"].id.get_create_plist().get_nfilters() == 0


@pytest.mark.parametrize("suffix", [".h5", ".fil"])
def test_a_failure_leaves_the_old_file_alone(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_filterbank(path, ATTRIBUTES, power((3, 128)))
    before = path.read_bytes()

    def write_and_fail() -> None:
        with writing(path, ATTRIBUTES, (3, 1, 128)) as writer:
            writer.write(0, power((3, 64)))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_error_that_names_the_file_and_no_crash(tmp_path):
    """In a process of its own: HDF5 that cannot write crashes when it closes the file or the process ends."""
    code = """
        import resource, signal, sys
        import numpy as np
        from pathlib import Path
        from seti.data.filterbank_writer import write_filterbank
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        values = np.random.default_rng(0).random((8, 40_000), np.float32)
        for name in ("a.h5", "a.fil"):
            try:
                write_filterbank(Path(name), {"fch1": 1.0, "foff": 1e-6, "tsamp": 1.0, "tstart": 1.0}, values)
            except OSError as error:
                print(error.errno, error.filename)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "27 a.h5\n27 a.fil\n", "")
    assert list(tmp_path.iterdir()) == []


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(SetiError, match=r"a.npy must end in .h5 or .fil"):
        write_filterbank(tmp_path / "a.npy", ATTRIBUTES, power((3, 128)))
