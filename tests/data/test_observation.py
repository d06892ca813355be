"""Reading of observations: values, headers, and one line for what cannot be read."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from observation_files import ATTRIBUTES, FOFF, TSAMP, power

from seti.data.filterbank_writer import write_filterbank, writing
from seti.data.observation import open_observation, read_header
from seti.errors import SetiError

h5py = pytest.importorskip("h5py")
pytest.importorskip("hdf5plugin")


@pytest.fixture
def plain_h5(tmp_path):
    """Path and values of an .h5 made with h5py alone, in descending frequency as at the GBT."""
    values = power((4, 2, 128))
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = b"FILTERBANK"
        file.attrs["VERSION"] = b"1.0"
        data = file.create_dataset("data", data=values)
        for name, value in ATTRIBUTES.items():
            data.attrs[name] = np.bytes_(value) if isinstance(value, str) else value
    return path, values


def edit(path: Path, **attributes) -> Path:
    with h5py.File(path, "r+") as file:
        for name, value in attributes.items():
            if value is None:
                del file["data"].attrs[name]
            else:
                file["data"].attrs[name] = value
    return path


def refused(path: Path, coarse_width=None) -> str:
    with pytest.raises(SetiError) as error:
        open_observation(path, coarse_width)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value).replace(str(path), "FILE")


def test_header_is_read_with_its_units(plain_h5):
    header = read_header(plain_h5[0])
    assert (header.source, header.ra_deg, header.dec_deg) == ("HIP123", pytest.approx(266.8125), -28.3831)
    assert (header.fch1_mhz, header.foff_mhz, header.tsamp_s, header.tstart_mjd) == (8400.0, FOFF, TSAMP, 59000.25)
    assert (header.rows, header.feeds, header.channels, header.bits) == (4, 2, 128, 32)
    assert (header.coarse_width, header.coarse_channels, header.telescope_id) == (64, 2, 6)
    assert header.raw_file == "guppi_59000_HIP123_0001.0000.raw"
    assert header.feed_names == ("XX", "YY")
    assert header.resolution_hz == pytest.approx(2.7939677238464355)


def test_a_coarse_channel_is_in_ascending_frequency(plain_h5):
    path, values = plain_h5
    with open_observation(path) as observation:
        for k in (0, 1):
            for feed in (0, 1):
                read = observation.coarse_channel(k, feed)
                assert read.dtype == np.float32
                assert np.array_equal(read, values[:, feed, k * 64 : (k + 1) * 64][:, ::-1])


@pytest.mark.parametrize("sign", [-1, 1])
def test_bins_lead_back_to_the_files_channels(tmp_path, sign):
    path = tmp_path / "a.fil"
    write_filterbank(path, {**ATTRIBUTES, "foff": sign * 1e-6}, power((2, 128)))
    header = read_header(path, 32)
    for k in range(4):
        frequencies = [header.frequency_mhz(k, bin) for bin in range(32)]
        assert frequencies == sorted(frequencies)
        for bin in (0, 5, 31):
            index = header.file_index(k, bin)
            assert index == k * 32 + (bin if sign > 0 else 31 - bin)
            assert header.frequency_mhz(k, bin) == pytest.approx(8400 + index * sign * 1e-6, abs=1e-12)
            assert header.coarse_channel_of(header.frequency_mhz(k, bin)) == (k, pytest.approx(bin, abs=1e-2))


@pytest.mark.parametrize("suffix", [".h5", ".fil"])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("dtype", ["<f4", "u1", "<u2"])
def test_files_read_as_blimpy_reads_them(tmp_path, suffix, sign, dtype):
    blimpy = pytest.importorskip("blimpy")
    path = tmp_path / f"a{suffix}"
    values = power((4, 2, 128))
    write_filterbank(path, {**ATTRIBUTES, "foff": -sign * FOFF}, values, dtype)
    stored = values if dtype == "<f4" else np.rint(values).clip(0, np.iinfo(dtype).max)
    theirs = blimpy.Waterfall(str(path))
    with open_observation(path, 64) as observation:
        for feed in (0, 1):
            read = observation.read(0, 128, feed)
            assert np.array_equal(read, stored[:, feed])
            assert np.array_equal(read[:, ::sign], theirs.data[:, feed].astype(np.float32))
    header = observation.header
    assert header.ra_deg == pytest.approx(theirs.header["src_raj"].deg, abs=1e-9)
    assert header.dec_deg == pytest.approx(theirs.header["src_dej"].deg, abs=1e-9)
    assert (header.fch1_mhz, header.tsamp_s) == (theirs.header["fch1"], theirs.header["tsamp"])


def test_files_that_blimpy_wrote_are_read(tmp_path):
    blimpy = pytest.importorskip("blimpy")
    write_filterbank(tmp_path / "ours.fil", ATTRIBUTES, power((4, 128)))
    waterfall = blimpy.Waterfall(str(tmp_path / "ours.fil"))
    waterfall.write_to_hdf5(str(tmp_path / "theirs.h5"))
    waterfall.write_to_fil(str(tmp_path / "theirs.fil"))
    for name in ("theirs.h5", "theirs.fil"):
        with open_observation(tmp_path / name, 64) as observation:
            assert np.array_equal(observation.read(0, 128), power((4, 128)))
            assert observation.header.ra_deg == pytest.approx(266.8125)


def test_chunks_of_several_rows_and_a_mask_are_read(tmp_path):
    values = power((5, 1, 128))
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        file.create_dataset("mask", data=np.zeros(values.shape, "u1"))
        data = file.create_dataset("data", data=values.astype("f8"), chunks=(2, 1, 48), compression="gzip")
        data.attrs.update(ATTRIBUTES)
    with open_observation(path) as observation:
        assert np.array_equal(observation.coarse_channel(1), values[:, 0, 64:][:, ::-1])


@pytest.mark.parametrize(
    ("attributes", "channels", "width"),
    [
        ({"nfpc": 64}, 128, 64),
        ({}, 1 << 20, 1 << 20),
        ({"nfpc": 96}, 1 << 20, 1 << 20),  # nfpc of the file that a blimpy cut was made from
        ({"foff": -2.9296875 / 32}, 64, None),  # too coarse a resolution, below
        ({"foff": -2.9296875 / 4096}, 8192, 4096),
        ({"foff": 2.9296875 / 4096}, 8192, 4096),
    ],
)
def test_width_of_a_coarse_channel_follows_from_the_header(tmp_path, attributes, channels, width):
    path = tmp_path / "a.h5"
    base = {name: value for name, value in ATTRIBUTES.items() if name != "nfpc"}
    with writing(path, {**base, **attributes}, (2, 1, channels)):
        pass
    if width is None:
        assert "medium-resolution product" in refused(path)
    else:
        assert read_header(path).coarse_width == width


def test_an_unknown_width_asks_for_the_key(plain_h5):
    path = edit(plain_h5[0], nfpc=None)
    assert refused(path) == (
        "FILE does not say how wide its coarse channels are (128 fine channels of 2.79397 Hz): set coarse_width to the "
        "number of fine channels in one, or to 128 to search the file as one"
    )
    assert read_header(path, 32).coarse_channels == 4
    assert refused(path, 50) == (
        "coarse_width=50 does not divide the 128 fine channels of FILE: "
        "set it to the number of fine channels in a coarse channel"
    )
    assert "coarse_width=0 does not divide" in refused(path, 0)


def test_gbts_width_is_taken_at_gbt_alone(tmp_path):
    path = tmp_path / "a.fil"
    write_filterbank(path, {**ATTRIBUTES, "foff": -2.9296875 / 4096, "telescope_id": 4}, power((2, 8192)))
    assert "set coarse_width" in refused(path)


def test_truncated_files_are_refused(tmp_path, plain_h5):
    path, _ = plain_h5
    os.truncate(path, path.stat().st_size - 100)
    assert refused(path) == "FILE is truncated: copy the file again"
    os.truncate(path, 30)
    assert refused(path).endswith(": copy the file again")
    path = tmp_path / "a.fil"
    write_filterbank(path, ATTRIBUTES, power((4, 128)))
    os.truncate(path, path.stat().st_size - 5)
    assert refused(path, 64) == (
        "FILE is truncated: its samples are 3 rows and 507 bytes, where its header asks for whole rows of 512 bytes; "
        "copy the file again"
    )
    os.truncate(path, 40)
    assert refused(path) == "FILE is truncated within its header: copy the file again"
    os.truncate(path, 0)
    assert refused(path) == "FILE is empty: copy the file again"


def test_a_fil_with_fewer_rows_than_it_claims_is_truncated(tmp_path):
    path = tmp_path / "a.fil"
    write_filterbank(path, {**ATTRIBUTES, "nsamples": 4}, power((4, 128)))
    assert read_header(path, 64).rows == 4
    os.truncate(path, path.stat().st_size - 512)
    assert "is truncated: its samples are 3 rows and 0 bytes, where its header asks for 4 rows" in refused(path, 64)


def test_damaged_samples_name_file_and_place(tmp_path):
    path = tmp_path / "a.h5"
    write_filterbank(path, ATTRIBUTES, power((4, 4096)))
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(2)
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\xff" * chunk.size)
    with open_observation(path) as observation, pytest.raises(SetiError, match="row 2, channels 0 to 63") as error:
        observation.coarse_channel(0)
    assert str(path) in str(error.value)
    assert str(error.value).endswith("copy the file again")


def test_files_without_rows_are_refused(tmp_path):
    write_filterbank(tmp_path / "a.fil", ATTRIBUTES, power((0, 128)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["CLASS"] = "FILTERBANK"
        file.create_dataset("data", (0, 1, 128), "f4").attrs.update(ATTRIBUTES)
    for name in ("a.h5", "a.fil"):
        assert refused(tmp_path / name, 64) == (
            "FILE has no rows (its data have shape (0, 1, 128)): copy or make the file again"
        )


def test_other_products_are_refused(plain_h5):
    path, _ = plain_h5
    assert refused(edit(path, foff=-0.3662109375, tsamp=0.000349525333)) == (
        "FILE has channels of 366211 Hz and rows of 0.00035 s: this is the high-time-resolution product "
        "(rawspec.0001), in which a needle of a few Hz is lost; give the fine product (...rawspec.0000.h5)"
    )
    assert "medium-resolution product (rawspec.0002)" in refused(edit(path, foff=-0.00286102294921875, tsamp=1.0737))


def test_what_is_no_filterbank_file_is_refused(tmp_path, plain_h5):
    text = tmp_path / "a.h5"
    text.write_text("nothing of the kind")
    assert refused(text) == ("FILE is not a filterbank file, neither HDF5 nor SIGPROC: give a .h5 or .fil observation")
    other = tmp_path / "b.h5"
    with h5py.File(other, "w") as file:
        file["data"] = np.zeros(3)
    assert "it is HDF5 without attribute CLASS=FILTERBANK" in refused(other)
    with h5py.File(other, "r+") as file:
        file.attrs["CLASS"] = "FILTERBANK"
    assert "data of shape (3,), not (rows, feeds, channels)" in refused(other)
    with h5py.File(other, "r+") as file:
        del file["data"]
    assert "it is HDF5 without dataset 'data'" in refused(other)
    assert refused(tmp_path) == "observation FILE is a folder: give a .h5 or .fil file"
    assert refused(tmp_path / "none.fil") == "observation FILE does not exist: give a .h5 or .fil file"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("fch1", None, "FILE needs a number for fch1 in its header, and lacks it: replace the file"),
        ("tstart", "soon", "FILE needs a number for tstart in its header, and has soon: replace the file"),
        ("tsamp", np.nan, "FILE needs a number for tsamp in its header, and has nan: replace the file"),
        ("foff", 0.0, "FILE has foff=0 in its header: it cannot be right; replace the file"),
        ("tsamp", -1.0, "FILE has tsamp=-1 in its header: it cannot be right; replace the file"),
    ],
)
def test_headers_that_cannot_be_right_are_refused(plain_h5, name, value, said):
    assert refused(edit(plain_h5[0], **{name: value})) == said


def sigproc(*fields: bytes) -> bytes:
    return b"\x0c\0\0\0HEADER_START" + b"".join(fields)


def field(name: str, value: bytes) -> bytes:
    return struct.pack("<i", len(name)) + name.encode() + value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            sigproc(field("nbits", struct.pack("<i", 2)), field("HEADER_END", b"")),
            "has nbits=2: samples of 8, 16",
        ),
        (sigproc(field("HEADER_END", b"")), "has nchans=0, nifs=1 in its header"),
        (sigproc(field("colour", b"red")), "has the keyword 'colour' in its header, which SIGPROC lacks"),
        (sigproc(struct.pack("<i", 2**30)), "has a damaged header (a text of 1073741824 bytes)"),
        (sigproc(struct.pack("<i", -1)), "has a damaged header (a text of -1 bytes)"),
        (sigproc(field("nchans", struct.pack("<i", -4)), field("HEADER_END", b"")), "has nchans=-4"),
    ],
)
def test_damaged_sigproc_headers_are_refused(tmp_path, content, said):
    path = tmp_path / "a.fil"
    path.write_bytes(content)
    assert said in refused(path)


def test_there_is_no_coarse_channel_or_feed_beyond_the_last(plain_h5):
    with open_observation(plain_h5[0]) as observation:
        with pytest.raises(SetiError, match="has no coarse channel 2: it has 0 to 1"):
            observation.coarse_channel(2)
        with pytest.raises(SetiError, match=re.escape("has no feed 2: it has 0 to 1 (XX, YY)")):
            observation.coarse_channel(0, 2)


@pytest.mark.parametrize("missing", ["h5py", "hdf5plugin"])
def test_a_missing_package_names_the_extra(tmp_path, missing):
    path = tmp_path / "a.h5"
    write_filterbank(path, ATTRIBUTES, power((2, 128)))
    code = f"import sys; sys.modules[{missing!r}] = None; from seti.data.observation import *\n"
    code += f"try: open_observation({str(path)!r})\nexcept SetiError as error: print(error)"
    environment = {k: v for k, v in os.environ.items() if k != "HDF5_PLUGIN_PATH"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert said.stdout.strip().endswith("pip install 'seti[scan]'"), said
    assert ("h5py" if missing == "h5py" else str(path)) in said.stdout


def test_a_virtual_dataset_is_read_from_compressed_files(tmp_path, monkeypatch):
    from seti.data import hdf5_filterbank

    values = power((4, 128))
    write_filterbank(tmp_path / "whole.h5", ATTRIBUTES, values)
    with h5py.File(tmp_path / "whole.h5") as source, h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.attrs.update(source.attrs)
        layout = h5py.VirtualLayout((4, 1, 128), "f4")
        layout[:] = h5py.VirtualSource(source["data"])
        made = file.create_virtual_dataset("data", layout)
        made.attrs.update({name: value for name, value in source["data"].attrs.items() if name != "DIMENSION_LABELS"})
    loaded, original = [], hdf5_filterbank.import_plugin
    monkeypatch.setattr(hdf5_filterbank, "import_plugin", lambda: loaded.append(True) or original())
    with open_observation(tmp_path / "virtual.h5") as observation, open_observation(tmp_path / "whole.h5") as whole:
        np.testing.assert_array_equal(observation.read(0, 128), whole.read(0, 128))
    assert loaded
