"""Injection into observations: the copies differ by the signals alone, which have the SNR that the truth says."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from seti.config.compose import compose
from seti.data.filterbank_writer import writing
from seti.data.observation import open_observation
from seti.data.observation_cadence import find_cadences
from seti.errors import SetiError
from seti.simulation.injection import inject, noise_deviation
from seti.simulation.injection_settings import InjectionSettings
from seti.simulation.observation import simulate_cadence
from seti.simulation.observation_settings import CadenceSettings

pytest.importorskip("h5py")

WIDTH = 8192
SETTINGS = InjectionSettings(needles=4, snr=[20.0, 80.0], max_drift_rate=2.0)


def change(**changed) -> InjectionSettings:
    return dataclasses.replace(SETTINGS, **changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three coarse channels without signals."""
    settings = CadenceSettings(coarse_channels=3, coarse_width=WIDTH, needles=0, decoys=0)
    limits = {"snr": [10.0, 100.0], "max_drift_rate": 4.0}
    return simulate_cadence(settings, tmp_path_factory.mktemp("plain") / "set", 0, limits, False)


@pytest.fixture
def cadence(folder):
    return find_cadences(folder)[0]


def read_all(cadence):
    arrays = []
    for path in cadence.files:
        with open_observation(path, cadence.header.coarse_width) as observation:
            arrays.append(observation.read(0, observation.header.channels).astype(float))
    return np.array(arrays)


def test_copies_differ_by_the_signals_which_have_the_snr_of_the_truth(cadence, tmp_path):
    truth = inject(cadence, SETTINGS, tmp_path / "out")
    pd.testing.assert_frame_equal(truth, pd.read_csv(tmp_path / "out" / "truth.csv"), check_dtype=False)
    assert len(truth) == 12
    (copies,) = find_cadences(tmp_path / "out")
    before, after = read_all(cadence), read_all(copies)
    added = after - before
    assert not added[1::2].any()  # OFF
    header, times = copies.header, np.array(copies.panel_start_s)[:, None] + 18.253611008 * np.arange(16)
    for one in truth.itertuples():
        # In ascending order, over the whole file.
        bins = header.channels - 1 - one.index + one.drift_hz_s * times / header.resolution_hz
        total, variance = 0.0, 0.0
        for panel in (0, 2, 4):
            for row in range(16):
                middle = round(bins[panel, row])
                total += added[panel, row, middle - 40 : middle + 41].sum()
            near = slice(int(bins[panel].mean()) - 150, int(bins[panel].mean()) + 150)
            variance += 16 * np.diff(before[panel, :, near], axis=1).var() / 2
        filled = max(1, np.hypot(one.drift_hz_s * 18.253611008, one.width_hz) / header.resolution_hz)
        assert total / np.sqrt(variance) == pytest.approx(one.snr * np.sqrt(filled), rel=0.08)
        assert one.snr_one_channel == pytest.approx(one.snr * np.sqrt(filled), rel=1e-3)


def test_chosen_channels_alone_are_changed_and_their_span_copied(cadence, tmp_path):
    truth = inject(cadence, change(channels=["1-2"]), tmp_path / "out")
    assert sorted(set(truth["coarse_channel"])) == [0, 1]
    (copies,) = find_cadences(tmp_path / "out")
    assert copies.header.coarse_channels == 2
    assert copies.header.fch1_mhz == pytest.approx(cadence.header.fch1_mhz + WIDTH * cadence.header.foff_mhz, abs=1e-9)
    assert copies.header.attributes["source_name"] == "HIP99427"
    whole = inject(cadence, SETTINGS, tmp_path / "whole")
    same = whole[whole["coarse_channel"] > 0].reset_index(drop=True)
    assert np.allclose(same["freq_mhz"], truth["freq_mhz"], rtol=0, atol=1e-8)
    with (
        open_observation(copies.files[0]) as part,
        open_observation(tmp_path / "whole" / copies.files[0].name) as all_of,
    ):
        assert np.array_equal(part.coarse_channel(1), all_of.coarse_channel(2))
    inject(cadence, change(channels=[0, 2]), tmp_path / "ends")
    (ends,) = find_cadences(tmp_path / "ends")
    with open_observation(ends.files[0]) as copy, open_observation(cadence.files[0]) as original:
        assert np.array_equal(copy.coarse_channel(1), original.coarse_channel(1))
        assert not np.array_equal(copy.coarse_channel(0), original.coarse_channel(0))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("dtype", ["u1", "<u2"])
def test_whole_numbers_and_other_feeds_are_kept(tmp_path, sign, dtype):
    rng = np.random.default_rng(0)
    values = {}
    (tmp_path / "in").mkdir()
    for panel, source in enumerate("ABACAD"):
        attributes = {
            **{"fch1": 1400.0, "foff": sign * 2.8e-6, "tsamp": 18.0, "tstart": 59000 + panel * 330 / 86400},
            **{"source_name": source, "telescope_id": 4},
        }
        with writing(tmp_path / "in" / f"{panel}.fil", attributes, (16, 2, 4096), dtype) as writer:
            for feed in (0, 1):
                values[panel, feed] = np.rint(rng.normal(100, 5, (16, 4096)))
                writer.write(0, values[panel, feed], feed)
    (cadence,) = find_cadences(tmp_path / "in", coarse_width=4096)
    inject(cadence, change(feed=1, needles=1, snr=[50, 50], max_drift_rate=0.05), tmp_path / "out")
    for panel in range(6):
        with open_observation(tmp_path / "out" / f"{panel}.fil", 4096) as copy:
            assert copy.dtype == np.dtype(dtype)
            assert np.array_equal(copy.read(0, 4096, 0), values[panel, 0])
            added = copy.read(0, 4096, 1) - values[panel, 1]
            power = 50 * 5 / np.sqrt(48)
            assert added.sum(axis=1).mean() == pytest.approx(power * (panel % 2 == 0), rel=0.3)


def test_a_stopped_injection_goes_on(cadence, tmp_path):
    out = tmp_path / "out"
    truth = inject(cadence, SETTINGS, out)
    content = {path.name: path.read_bytes() for path in out.iterdir()}
    kept, *removed = sorted(out.glob("*.h5"))
    for path in [*removed, out / "truth.csv"]:
        path.unlink()
    written = kept.stat().st_mtime_ns
    seen = []
    again = inject(cadence, SETTINGS, out, progress=lambda *counts: seen.append(counts))
    pd.testing.assert_frame_equal(truth, again)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == content
    assert kept.stat().st_mtime_ns == written
    assert seen[8] == (False, 9, 9)  # three channels of three ON files are measured,
    assert seen[9:] == [(True, done, 15) for done in range(1, 16)]  # and of the five files that are missing, written


def test_a_channel_without_noise_gets_no_signals(cadence, tmp_path):
    (tmp_path / "in").mkdir()
    for path in cadence.files:
        with open_observation(path) as observation:
            header = observation.header
            with writing(tmp_path / "in" / path.name, header.attributes, (16, 1, 3 * WIDTH)) as writer:
                for k in (0, 2):  # 1 is left at zero
                    writer.write(k * WIDTH, observation.coarse_channel(k))
    truth = inject(find_cadences(tmp_path / "in")[0], SETTINGS, tmp_path / "out")
    assert sorted(set(truth["coarse_channel"])) == [0, 2]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"needles": 0}, "needles=0 and decoys=0 leave nothing to inject: raise one of them"),
        ({"decoys": -2}, "decoys=-2 must be 0 or more"),
        (
            {"needles": 200},
            "needles and decoys put 200 signals into a coarse channel of 8192 fine channels: it holds 127",
        ),
        ({"channels": 3}, "channels=3 is outside of the files, which have coarse channels 0 to 2"),
        ({"channels": []}, "channels=[] names no coarse channel: name some, or null for all"),
        (
            {"channels": "x"},
            "channels=x is not a coarse channel: give numbers from 0 to 2, or spans of them: channels=[0,10-19]",
        ),
        ({"snr": [8]}, "snr=[8] must be [lowest, highest], both above 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(cadence, tmp_path, changed, said):
    with pytest.raises(SetiError) as error:
        inject(cadence, change(**changed), tmp_path / "out")
    assert str(error.value) == said
    assert not (tmp_path / "out").exists()


def test_the_observations_own_folder_and_other_copies_are_refused(cadence, folder, tmp_path):
    with pytest.raises(SetiError, match="is the folder of the observations, which the copies would replace"):
        inject(cadence, SETTINGS, folder)
    with pytest.raises(SetiError, match=r"feed=1 is not in .* it has 0 to 0 \(total power\)"):
        inject(cadence, change(feed=1), tmp_path / "out")
    inject(cadence, SETTINGS, tmp_path / "out")
    with pytest.raises(SetiError, match=r"other settings \(needles: 4, now 5\): set force=true to replace it"):
        inject(cadence, change(needles=5), tmp_path / "out")
    assert len(inject(cadence, change(needles=5), tmp_path / "out", force=True)) == 15


def test_conf_has_the_defaults_of_the_code():
    cfg = compose("inject")
    assert {name: cfg[name] for name in dataclasses.asdict(InjectionSettings())} == dataclasses.asdict(
        InjectionSettings()
    )


def test_noise_is_measured_under_slopes_and_signals():
    rng = np.random.default_rng(0)
    panel = 100 + 3 * rng.standard_normal((16, 4096)) + np.linspace(0, 2000, 4096)
    panel[:, 2000] += 1e6
    assert noise_deviation(panel, 2000) == pytest.approx(3, rel=0.03)
    assert noise_deviation(np.zeros((16, 4096)), 5) == 0
    assert noise_deviation(np.full((16, 4096), np.nan), 4090) == 0
