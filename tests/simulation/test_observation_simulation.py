"""Simulated observations: files, truth, noise, and signals where the truth says."""

import dataclasses
import hashlib

import numpy as np
import pandas as pd
import pytest

from seti.config.compose import simulation_settings
from seti.data.observation import open_observation
from seti.data.observation_cadence import find_cadences
from seti.errors import SetiError
from seti.simulation.bandpass import draw_bandpass, draw_noise, polyphase_response
from seti.simulation.narrowband import Narrowband, Sampling, add_signal, channels_filled
from seti.simulation.observation import simulate_cadence
from seti.simulation.observation_settings import CadenceSettings
from seti.simulation.population import DECOYS, brightness_of
from seti.simulation.truth import COLUMNS

pytest.importorskip("h5py")

LIMITS = {"snr": [50.0, 100.0], "max_drift_rate": 1.0}
SMALL = CadenceSettings(coarse_width=8192, needles=5, decoys=7)
STARTS = tuple(330.0 * panel for panel in range(6))
SAMPLING = Sampling(16, 18.253611008, 2.7939677238464355, STARTS)


def simulate(root, seed=0, force=False, limits=LIMITS, **changed):
    return simulate_cadence(dataclasses.replace(SMALL, **changed), root, seed, limits, force)


def digests(root):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.iterdir()}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("small") / "set")


def test_six_files_make_a_cadence_as_the_gbt_writes_it(small):
    (cadence,) = find_cadences(small)
    assert cadence.on == (True, False) * 3
    assert cadence.source == "HIP99427"
    header = cadence.header
    assert (header.rows, header.coarse_channels, header.coarse_width, header.telescope_id) == (16, 2, 8192, 6)
    assert not header.ascending
    assert header.resolution_hz == pytest.approx(2.7939677238464355)
    pauses = np.diff(cadence.panel_start_s) - header.length_s
    assert ((pauses > 29) & (pauses < 61)).all()
    assert sorted(path.name for path in small.iterdir())[-2:] == ["simulation.json", "truth.csv"]


def test_blimpy_reads_the_files(small):
    blimpy = pytest.importorskip("blimpy")
    path = find_cadences(small)[0].files[2]
    with open_observation(path) as observation:
        assert np.array_equal(blimpy.Waterfall(str(path)).data[:, 0, ::-1], observation.read(0, 16384))


def test_truth_lists_every_signal(small):
    truth = pd.read_csv(small / "truth.csv")
    assert tuple(truth.columns) == COLUMNS
    assert truth["kind"].value_counts().to_dict() == {"needle": 5, **dict.fromkeys(DECOYS, 1)}
    needles = truth[truth["kind"] == "needle"]
    assert (needles["panels"] == "1 3 5").all()
    assert needles["snr"].between(50, 100).all()
    assert (truth["drift_hz_s"].abs() <= 1).all()
    header = find_cadences(small)[0].header
    frequency = header.fch1_mhz + truth["index"] * header.foff_mhz
    assert np.allclose(frequency, truth["freq_mhz"], rtol=0, atol=1e-8)
    assert (truth["index"] // 8192 == truth["coarse_channel"]).all()
    off = truth.set_index("kind")["panels"]
    assert off["off_only"] == "2 4 6"
    assert off["static"] == off["faint_in_off"] == "1 2 3 4 5 6"
    assert off["single_on"] in ("1", "3", "5")
    partial = {int(panel) for panel in off["partial"].split()}
    assert 1 <= len(partial & {1, 3, 5}) <= 2
    assert 1 <= len(partial & {2, 4, 6}) <= 2


def test_signals_are_where_the_truth_says(tmp_path):
    """In file order, whose frequencies fall: the reading of the module under test is not used."""
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("hdf5plugin")
    plain = {"curved": 0.0, "scintillating": 0.0, "max_width_hz": 0.0}
    root = simulate(tmp_path / "set", limits={"snr": [300.0, 400.0], "max_drift_rate": 0.3}, **plain)
    truth = pd.read_csv(root / "truth.csv")
    files = find_cadences(root)[0].files
    for one in truth[truth["kind"] == "needle"].itertuples():
        for panel in (0, 2, 4):
            with h5py.File(files[panel]) as file:
                data, header = file["data"][:, 0], dict(file["data"].attrs)
            start = (header["tstart"] - 59000.25) * 86400
            for row in (0, 15):
                time = start + row * header["tsamp"]
                place = (one.freq_mhz + one.drift_hz_s * time / 1e6 - header["fch1"]) / header["foff"]
                around = data[row, round(place) - 40 : round(place) + 41].astype(float)
                around = np.maximum(around - np.median(around) - 3 * around.std() / 10, 0)
                brightest = np.average(np.arange(81), weights=around**4) - 40 + round(place)
                assert brightest == pytest.approx(place, abs=3)


def test_the_same_seed_gives_the_same_bytes_and_a_stopped_run_goes_on(tmp_path):
    pytest.importorskip("hdf5plugin")
    for name in ("a", "b"):
        simulate(tmp_path / name, 3)
    before = digests(tmp_path / "a")
    assert before == digests(tmp_path / "b")
    kept, *removed = sorted((tmp_path / "a").glob("*.h5"))
    for path in removed:
        path.unlink()
    (tmp_path / "a" / "truth.csv").unlink()
    written = kept.stat().st_mtime_ns
    simulate(tmp_path / "a", 3)
    assert digests(tmp_path / "a") == before
    assert kept.stat().st_mtime_ns == written
    simulate(tmp_path / "b", 4, force=True)
    other = digests(tmp_path / "b")
    assert all(other[name] != before[name] for name in before)


def test_a_folder_that_holds_something_else_is_refused(tmp_path, small):
    with pytest.raises(
        SetiError, match=r"holds a simulation made with other settings \(seed: 0, now 1\): set force=true"
    ):
        simulate(small, 1)
    (tmp_path / "mine.h5").write_text("observation")
    with pytest.raises(SetiError, match="holds data that the simulator did not make: set root to another folder"):
        simulate(tmp_path)
    (tmp_path / "mine.h5").rename(tmp_path / "train")
    with pytest.raises(SetiError, match="holds data that the simulator did not make"):
        simulate(tmp_path)


def test_fil_files_have_the_same_samples(tmp_path, small):
    root = simulate(tmp_path / "set", format="fil")
    ours = find_cadences(root, coarse_width=8192)[0].files
    theirs = find_cadences(small)[0].files
    for one, other in zip(ours, theirs, strict=True):
        with open_observation(one, 8192) as fil, open_observation(other) as h5:
            assert np.array_equal(fil.read(0, 16384), h5.read(0, 16384))
    assert (root / "truth.csv").read_text() == (small / "truth.csv").read_text()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rows": 1}, "cadence.rows=1 must be 2 or more"),
        ({"coarse_channels": 0}, "cadence.coarse_channels=0 must be 1 or more"),
        ({"coarse_width": 100}, "cadence.coarse_width=100 must be 1024 or more"),
        ({"needles": -1}, "cadence.needles=-1 must be 0 or more"),
        (
            {"needles": 1000},
            "cadence.needles and cadence.decoys put 504 signals into a coarse channel of 8192 fine channels: "
            "it holds 127",
        ),
        ({"format": "npy"}, "cadence.format='npy' must be one of h5, fil"),
        ({"source": "a/b"}, "cadence.source='a/b' must be a name without /, which the files are named after"),
        ({"decoy_snr": [3]}, r"cadence.decoy_snr=[3] must be [lowest, highest], both above 0"),
        ({"curved": 2.0}, "cadence.curved=2.0 must be a share between 0 and 1"),
        ({"max_width_hz": -1.0}, "cadence.max_width_hz=-1.0 must be between 0 and 1000 Hz"),
        ({"limits": {**LIMITS, "snr": [0, 1]}}, "snr=[0, 1] must be [lowest, highest], both above 0"),
        ({"limits": {**LIMITS, "max_drift_rate": -1}}, "max_drift_rate=-1 must be 0 Hz/s or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path, changed, said):
    with pytest.raises(SetiError) as error:
        simulate(tmp_path / "set", **changed)
    assert str(error.value) == said
    assert not (tmp_path / "set").exists()


def test_the_preset_asks_for_a_cadence():
    settings = simulation_settings("preset=cadence", "cadence.rows=8")
    assert (settings.product, settings.max_drift_rate, settings.cadence.rows) == ("cadence", 4, 8)
    assert settings.cadence == CadenceSettings(rows=8)  # conf/ and the defaults in code agree


def test_settings_of_observations_leave_data_sets_as_they_were():
    """A set made before these settings existed is recognised."""
    recorded = simulation_settings().recorded()
    assert set(recorded) == {
        *("train", "test", "positives", "seed", "snr", "max_drift_rate", "complete", "train_shapes", "test_shapes"),
        *("decoys", "shared_backgrounds", "background"),
    }


def test_noise_is_chi_square_with_the_degrees_of_freedom_of_both_feeds():
    assert SAMPLING.looks == 102
    noise = draw_noise(np.random.default_rng(0), 16, 65536, 102).astype(float)
    assert noise.mean() == pytest.approx(1, abs=1e-3)
    assert noise.var() == pytest.approx(1 / 102, rel=0.01)
    skewness = ((noise - 1) ** 3).mean() / noise.std() ** 3
    assert skewness == pytest.approx(2 / np.sqrt(102), rel=0.1)  # of chi-square with 204 degrees


def test_the_filter_banks_response_is_one_half_at_the_edges():
    response = polyphase_response(4096)
    assert response[2048] == pytest.approx(1, abs=1e-3)
    assert response[[0, -1]] == pytest.approx(0.5, abs=0.01)
    assert np.allclose(response, response[::-1])
    assert (draw_bandpass(np.random.default_rng(1), 4096) > 0).all()


@pytest.mark.parametrize(("drift", "width"), [(0.0, 0.0), (4.0, 0.0), (-2.0, 0.0), (0.0, 30.0), (1.0, 20.0)])
def test_a_rows_power_is_that_of_the_signal_whatever_it_is_spread_over(drift, width):
    signal = Narrowband(2000.3, drift, 0.0, width, np.ones((6, 16)))
    panel = np.zeros((16, 8000))
    add_signal(panel, 2, signal, 10.0, SAMPLING)
    assert panel.sum(axis=1) == pytest.approx(10, rel=0.03)  # leakage far away is left out
    middle = (panel * np.arange(8000)).sum(axis=1) / panel.sum(axis=1)
    times = STARTS[2] + SAMPLING.row_s * np.arange(16)
    assert middle == pytest.approx(2000.3 + drift * times / SAMPLING.resolution_hz, abs=0.2)
    filled = channels_filled(drift, width, SAMPLING.row_s, SAMPLING.resolution_hz)
    spread = 1 / ((panel / panel.sum(axis=1, keepdims=True)) ** 2).sum(axis=1).mean()
    assert filled / 1.1 < spread < 1.6 * filled + 0.6


def test_a_curved_track_leaves_the_line_and_returns():
    signal = Narrowband(100.0, 0.5, -7.0, 0.0, np.ones((6, 16)))
    span = SAMPLING.span_s
    track = signal.track(np.array([0, span / 2, span]), span, SAMPLING.resolution_hz)
    line = 100 + 0.5 * np.array([0, span / 2, span]) / SAMPLING.resolution_hz
    assert track - line == pytest.approx([0, -7, 0])


@pytest.mark.parametrize("kind", ["needle", *DECOYS])
def test_a_kind_goes_by_the_cadences_own_on_panels(kind):
    reversed_cadence = dataclasses.replace(SAMPLING, on=(False, True) * 3)
    bright = brightness_of(np.random.default_rng(0), kind, reversed_cadence)[:, 0]
    on, off = bright[1::2], bright[0::2]
    expected = {
        "needle": (on == 1).all() and not off.any(),
        "static": (bright == 1).all(),
        "drifting": (bright == 1).all(),
        "curved": (bright == 1).all(),
        "off_only": not on.any() and (off == 1).all(),
        "faint_in_off": (on == 1).all() and ((off >= 0.3) & (off <= 0.6)).all(),
        "partial": 0 < on.sum() < 3 and 0 < off.sum() < 3,
        "single_on": on.sum() == 1 and not off.any(),
    }
    assert expected[kind]
