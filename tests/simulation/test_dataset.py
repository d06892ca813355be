import dataclasses
import hashlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seti.config.compose import simulation_settings
from seti.data.competition import cadence_path, read_labels, read_test_ids, read_test_labels
from seti.errors import SetiError, SettingsError
from seti.simulation import dataset as sim
from seti.simulation import spectra
from seti.simulation.emission import FEATURES, draw_background
from seti.simulation.plan import draw_cadence_signal
from seti.simulation.signals import SHAPES, draw_signal
from seti.simulation.validation import check_settings

PLAIN = dict.fromkeys(FEATURES, 0.0)
TIMES = (np.arange(6) * 350.0)[:, None] + spectra.DT * np.arange(spectra.ROWS)


@pytest.fixture(scope="module")
def defaults():
    return simulation_settings("workers=1")


@pytest.fixture
def settings(defaults, tmp_path):
    """Settings of a small data set that has every kind of cadence."""
    return dataclasses.replace(defaults, root=str(tmp_path / "set"), train=10, test=6, positives=0.35)


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(root).rglob("*"))
        if path.is_file()
    }


def truth_of(root):
    return pd.read_csv(Path(root) / "truth.csv", dtype={"id": str}, keep_default_na=False)


def make_signal(shape, panels=(0, 2, 4), snr=200.0, drift_rate=0.1, seed=0):
    return draw_signal(np.random.default_rng(seed), shape, panels, snr, drift_rate, TIMES, spectra.BINS, spectra.DF)


def draw_field(settings, number, cuts):
    return spectra.draw_field(np.random.default_rng([settings.seed, number]), settings.background, cuts)


def test_layout_files_and_tables(settings):
    root = sim.simulate(settings)
    truth = truth_of(root)
    labels, test_labels = read_labels(root), read_test_labels(root)
    assert len(labels) == 10
    assert labels["target"].sum() == 4  # 0.35 * 10, halves up
    assert test_labels["target"].sum() == 2
    assert set(read_test_ids(root)) == set(test_labels["id"])
    assert set(pd.read_csv(root / "sample_submission.csv")["target"]) == {0.5}
    assert truth["id"].str.fullmatch("[0-9a-f]{15}").all()
    assert truth["id"].is_unique
    for row in truth.itertuples():
        path = cadence_path(root, row.split, row.id)
        assert path.stat().st_size == 838_784
        cadence = np.load(path)
        assert cadence.dtype.str == "<f2"
        assert cadence.shape == (6, 273, 256)
        assert cadence.flags.c_contiguous
        panels = cadence.astype(np.float64)
        np.testing.assert_allclose(panels.mean(axis=(1, 2)), 0, atol=2e-3)
        np.testing.assert_allclose(panels.std(axis=(1, 2)), 1, atol=2e-3)
    joined = labels.merge(truth, on="id", suffixes=("", "_true"))
    assert (joined["target"] == (joined["kind"] == "needle")).all()
    assert len(list(root.rglob("*.npy"))) == 16


def test_bytes_depend_on_the_seed_and_not_on_the_workers(settings, tmp_path):
    one = digests(sim.simulate(settings))
    two = digests(sim.simulate(dataclasses.replace(settings, root=str(tmp_path / "two"), workers=2)))
    other = digests(sim.simulate(dataclasses.replace(settings, root=str(tmp_path / "other"), seed=1)))
    assert one == two
    assert not set(one.values()) & {d for name, d in other.items() if name.endswith(".npy")}


def test_the_global_generator_is_not_used(settings):
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    sim.simulate(dataclasses.replace(settings, train=2, test=0))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_an_interrupted_data_set_is_continued(settings):
    whole = digests(sim.simulate(settings))
    root = Path(settings.root)
    gone, halved, kept = sorted(root.rglob("*.npy"))[:3]
    gone.unlink()
    halved.write_bytes(halved.read_bytes()[:1000])
    (root / "train_labels.csv").unlink()
    before = kept.stat().st_mtime_ns
    assert digests(sim.simulate(settings)) == whole
    assert kept.stat().st_mtime_ns == before


def test_a_killed_run_leaves_no_label_table(settings, monkeypatch):
    calls = []
    write = Path.write_bytes

    def full_disk(path, content):
        calls.append(path)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(SetiError, match="No space left on device"):
        sim.simulate(settings)
    assert not list(Path(settings.root).rglob("*.csv"))
    assert len(list(Path(settings.root).rglob("*.npy"))) == 3
    assert not list(Path(settings.root).rglob(".*"))


def test_other_settings_need_force(settings):
    root = sim.simulate(settings)
    other = dataclasses.replace(settings, snr=[5.0, 6.0])
    with pytest.raises(SettingsError, match=r"other settings \(snr: \[10.0, 100.0\], now \[5.0, 6.0\]\).*force=true"):
        sim.simulate(other)
    sim.simulate(dataclasses.replace(other, force=True, train=3))
    truth = truth_of(root)
    assert pd.to_numeric(truth["snr"]).max() < 6.01
    assert len(list(root.rglob("*.npy"))) == 9  # nothing of the old set is left


def test_foreign_data_are_never_changed(settings):
    root = Path(settings.root)
    root.mkdir()
    (root / "train_labels.csv").write_text("id,target\n")
    with pytest.raises(SetiError, match="did not make"):
        sim.simulate(dataclasses.replace(settings, force=True))
    assert [path.name for path in root.iterdir()] == ["train_labels.csv"]


@pytest.mark.parametrize(
    ("share", "count", "needles"), [(0.5, 7, 4), (0.1, 60, 6), (0.0, 5, 0), (1.0, 5, 5), (0.35, 10, 4)]
)
def test_shares_of_kinds_are_exact(defaults, share, count, needles):
    planned = sim.plan(dataclasses.replace(defaults, train=count, test=0, positives=share))
    kinds = [cadence.kind for group in planned for cadence in group]
    assert len(kinds) == count
    assert kinds.count("needle") == needles
    assert kinds.count("decoy_everywhere") == int(0.2 * (count - needles) + 0.5)


def test_ids_do_not_depend_on_the_counts(defaults):
    def ids(train):
        planned = sim.plan(dataclasses.replace(defaults, train=train, test=0))
        return {cadence.index: cadence.id for group in planned for cadence in group}

    small, large = ids(20), ids(400)
    assert small == {index: large[index] for index in small}
    assert {i[0] for i in large.values()} == set("0123456789abcdef")


def test_shared_backgrounds_are_shifted_cuts_of_one_background(defaults):
    settings = dataclasses.replace(defaults, train=40, test=20, shared_backgrounds=0.5)
    groups = sim.plan(settings)
    shared = [group for group in groups if len(group) > 1]
    assert sum(map(len, shared)) == 30
    assert any({cadence.split for cadence in group} == {"train", "test"} for group in shared)

    drawn = draw_field(settings, 0, 3)
    wide = spectra.render_field(drawn)
    first, second = (wide[:, :, offset : offset + spectra.BINS] for offset in drawn.offsets[:2])
    shift = drawn.offsets[1] - drawn.offsets[0]
    assert 0 < abs(shift) <= spectra.WIDEST - spectra.BINS
    overlap = spectra.BINS - abs(shift)
    if overlap:
        left, right = (first, second) if shift > 0 else (second, first)
        assert (left[:, :, -overlap:] == right[:, :, :overlap]).all()


def test_shared_backgrounds_are_in_the_files(defaults, tmp_path):
    settings = dataclasses.replace(
        defaults, root=str(tmp_path), train=3, test=0, positives=0.0, shared_backgrounds=1.0,
        decoys={"everywhere": 0.0, "off_only": 0.0}, background=PLAIN,
    )  # fmt: skip
    truth = truth_of(sim.simulate(settings)).sort_values("offset")
    assert len(set(truth["background"])) == 1
    near = truth.iloc[:2]
    left, right = (np.load(cadence_path(tmp_path, "train", i)).astype(np.float64)[0] for i in near["id"])
    shift = int(near["offset"].diff().iloc[1])
    overlap = np.corrcoef(left[:, shift:].ravel(), right[:, : spectra.BINS - shift].ravel())[0, 1]
    assert overlap > 0.99  # their standardisation differs slightly, their noise does not


@pytest.mark.parametrize("shape", SHAPES)
def test_signals_are_in_their_panels_and_in_no_other(shape):
    for panels in [(0, 2, 4), (2,), (1, 3, 5), (5,), tuple(range(6))]:
        cadence = np.zeros((6, spectra.ROWS, spectra.BINS))
        signal = make_signal(shape, panels)
        spectra.add_signal(cadence, TIMES, signal)
        power = cadence.sum(axis=(1, 2))
        assert (power[list(panels)] > 0).all()
        assert not np.delete(power, panels).any()
        assert signal.track[list(panels)].min() >= 3.9
        assert signal.track[list(panels)].max() <= spectra.BINS - 4.9


@pytest.mark.parametrize("drift_rate", [-0.2, 0.0, 0.05, 0.2])
def test_drift_is_continuous_through_slews_and_off_panels(drift_rate):
    """One straight line, fitted to the brightest bins of the A panels, passes through all of them."""
    cadence = np.zeros((6, spectra.ROWS, spectra.BINS))
    spectra.add_signal(cadence, TIMES, make_signal("line", drift_rate=drift_rate))
    on = cadence[[0, 2, 4]]
    centres = (on * np.arange(spectra.BINS)).sum(axis=2) / on.sum(axis=2)
    times = TIMES[[0, 2, 4]]
    slope, start = np.polyfit(times.ravel(), centres.ravel(), 1)
    assert slope * spectra.DF == pytest.approx(drift_rate, abs=2e-3)
    assert np.abs(centres - (start + slope * times)).max() < 0.3  # bins


@pytest.mark.parametrize("shape", ["sine", "wiggle"])
def test_curved_tracks_are_continuous(shape):
    """Between panels a track continues at the drift rate it has within them."""
    for seed in range(20):
        track = make_signal(shape, seed=seed, drift_rate=0.02).track
        fastest = np.abs(np.diff(track, axis=1)).max() / spectra.DT
        gaps = np.abs(track[1:, 0] - track[:-1, -1]) / (TIMES[1:, 0] - TIMES[:-1, -1])
        assert (gaps <= 1.01 * fastest).all()
        straight = np.polyval(np.polyfit(TIMES.ravel(), track.ravel(), 1), TIMES)
        assert 0.3 < (track - straight).std() < 15


def test_tracks_fit_the_band_at_the_largest_drift(defaults):
    with pytest.raises(SetiError, match="max_drift_rate=9"):
        check_settings(dataclasses.replace(defaults, max_drift_rate=9.0))
    for seed in range(30):
        track = make_signal("sine", tuple(range(6)), drift_rate=0.25, seed=seed).track
        assert track.min() >= 3.9
        assert track.max() <= spectra.BINS - 4.9


@pytest.mark.parametrize("shape", SHAPES)
def test_the_snr_along_the_track_is_as_configured(defaults, shape):
    """Sum the track's bins, weighted by the profile, relative to the noise of as many pixels."""
    asked, found = 50.0, []
    settings = dataclasses.replace(defaults, background=PLAIN)
    for number in range(6):
        drawn = draw_field(settings, number, 1)
        cadence = spectra.render_field(drawn)
        signal = make_signal(shape, snr=asked, seed=number)
        spectra.add_signal(cadence, drawn.times, dataclasses.replace(signal, width=2.0))
        for panel in signal.panels:
            weights = signal.profile[panel]
            bins = np.rint(signal.track[panel]).astype(int)
            above = cadence[panel, np.arange(spectra.ROWS), bins] - spectra.SYSTEM_LEVEL
            found.append((weights * above).sum() / np.sqrt((weights**2).sum()))
    # The nearest bin's centre is up to half a bin from the track, an average loss of 5 %.
    assert np.mean(found) == pytest.approx(0.94 * asked, rel=0.05)


def test_the_level_equals_setigens(defaults):
    cadence = np.zeros((6, spectra.ROWS, spectra.BINS))
    signal = dataclasses.replace(make_signal("line", snr=30.0), track=np.full((6, spectra.ROWS), 100.0))
    spectra.add_signal(cadence, TIMES, signal)
    np.testing.assert_allclose(cadence[0, :, 100], 30 / np.sqrt(spectra.ROWS), rtol=1e-6)


def test_signals_of_each_kind_are_in_the_right_panels(defaults):
    settings = dataclasses.replace(defaults, train=200, test=0, positives=0.4)
    seen = set()
    for group in sim.plan(settings):
        for cadence in group:
            signal = draw_cadence_signal(settings, cadence, TIMES)
            panels = () if signal is None else signal.panels
            allowed = {"needle": {0, 2, 4}, "decoy_off_only": {1, 3, 5}, "decoy_everywhere": set(range(6))}
            assert set(panels) <= allowed.get(cadence.kind, set())
            assert bool(panels) == (cadence.kind != "background")
            if cadence.kind == "decoy_everywhere":
                assert len(panels) == 6
            if cadence.kind == "needle":
                seen.add(panels)
    assert len(seen) == 7  # every non-empty subset of the A panels


def test_train_and_test_sets_have_different_shapes(defaults):
    only = {shape: {**dict.fromkeys(SHAPES, 0.0), shape: 1.0} for shape in SHAPES}
    settings = dataclasses.replace(
        defaults, train=20, test=20, positives=1.0, train_shapes=only["line"], test_shapes=only["sine"]
    )
    for group in sim.plan(settings):
        for cadence in group:
            signal = draw_cadence_signal(settings, cadence, TIMES)
            assert signal.shape == {"train": "line", "test": "sine"}[cadence.split]


@pytest.mark.parametrize("feature", FEATURES)
def test_every_background_feature_can_be_alone(feature):
    drawn = draw_background(np.random.default_rng(3), {**PLAIN, feature: 1.0}, 6, spectra.ROWS, spectra.BINS)
    assert drawn.features == (feature,)
    assert (drawn.spike > 0).sum() == (feature == "spike")
    assert (np.ptp(drawn.brightness) > 0) == (feature != "spike")


def test_the_spike_is_one_bin_of_all_panels_in_half_of_the_cadences(defaults):
    settings = dataclasses.replace(defaults, background={**PLAIN, "spike": 0.5})
    spiked = 0
    for number in range(40):
        drawn = draw_field(settings, number, 1)
        spiked += drawn.features == ("spike",)
        if drawn.features:
            profile = spectra.render_field(drawn).mean(axis=1)
            bins = profile.argmax(axis=1)
            assert len(set(bins)) == 1
            assert (np.delete(profile, bins[0], axis=1) < spectra.SYSTEM_LEVEL + 1).all()
    assert 10 <= spiked <= 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": -1}, "train=-1 must be 0 or more"),
        ({"train": 0, "test": 0}, "nothing to simulate"),
        ({"workers": 0}, "workers=0"),
        ({"positives": 1.5}, "positives=1.5 must be a share"),
        ({"positives": float("nan")}, "positives=nan"),
        ({"snr": [30.0, 20.0]}, "lowest, highest"),
        ({"snr": [30.0]}, "lowest, highest"),
        ({"train_shapes": {"lien": 1.0}}, "'lien': did you mean 'line'"),
        ({"test_shapes": {"line": 0.0}}, "one above 0"),
        ({"background": {**PLAIN, "comp": 1.0}}, "did you mean 'comb'"),
        ({"background": {"comb": 1.0}}, "background lacks slope"),
        ({"decoys": {"everywhere": 0.7, "off_only": 0.7}}, "add up to 1.4"),
        ({"max_drift_rate": -0.1}, "max_drift_rate=-0.1"),
    ],
)
def test_impossible_settings_are_refused(settings, changes, message):
    with pytest.raises(SetiError, match=message):
        sim.simulate(dataclasses.replace(settings, **changes))
    assert not Path(settings.root).exists()


def test_an_unwritable_folder_is_reported_in_one_line(settings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetiError, match=r"cannot write to .*file"):
        sim.simulate(dataclasses.replace(settings, root=str(tmp_path / "file" / "set")))


def test_a_full_disk_is_noticed_before_anything_is_written(settings, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(sim.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SetiError, match=r"needs 13\.4 MB and has 0\.0 MB free"):
        sim.simulate(settings)
    assert not list(Path(settings.root).rglob("*.npy"))


def test_without_setigen_the_error_says_what_to_install(settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "setigen", None)
    spectra.import_setigen.cache_clear()
    with pytest.raises(SetiError, match=r"pip install 'seti\[simulate\]'"):
        sim.simulate(settings)
    spectra.import_setigen.cache_clear()


def test_importing_setigen_is_silent():
    import subprocess

    code = "import seti.simulation.spectra as f; f.import_setigen()"
    result = subprocess.run([sys.executable, "-W", "always::UserWarning", "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_presets_compose():
    easy = simulation_settings("preset=easy")
    check_settings(easy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_settings(simulation_settings())
    assert easy.positives == 0.5
