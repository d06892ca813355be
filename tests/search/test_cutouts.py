import numpy as np
import pandas as pd
import pytest
from observation_fakes import FOFF, MJD, PANEL_S, TSAMP, frequency, write_cadence

from seti.data.observation import open_observation

PNG = b"\x89PNG"


@pytest.mark.parametrize("foff", [FOFF, -FOFF])
def test_a_cutout_holds_the_files_own_values_and_frequencies(scan, tmp_path, foff):
    paths = write_cadence(tmp_path / "obs", foff=foff)
    folder = scan(cadence=tmp_path / "obs")
    table = pd.read_csv(folder / "events.csv")
    for row in table.itertuples():
        for panel, path in enumerate(paths):
            cut = folder / "cutouts" / f"event_{row.event:06d}" / path.name
            with open_observation(cut) as small, open_observation(path) as whole:
                header = small.header
                start = round((header.fch1_mhz - whole.header.fch1_mhz) / foff)
                expected = whole.read(start, start + header.channels)
                np.testing.assert_array_equal(small.coarse_channel(0), expected)
            assert header.coarse_channels == 1
            assert header.source == whole.header.source
            assert header.tstart_mjd == pytest.approx(MJD + panel * PANEL_S / 86400, abs=1e-9)
            assert header.lowest_mhz < row.f_start_mhz
            assert header.highest_mhz > row.f_end_mhz
            assert header.channels < 2000


def test_blimpy_reads_a_cutout(scan):
    blimpy = pytest.importorskip("blimpy")
    folder = scan()
    table = pd.read_csv(folder / "events.csv")
    path = next((folder / "cutouts" / "event_000001").glob("*_00_*"))
    read = blimpy.Waterfall(str(path))
    assert read.header["source_name"] == "VOYAGER-1"
    frequencies, data = read.grab_data()
    strongest = frequencies[data[0].argmax()]
    assert strongest == pytest.approx(table["freq_mhz"].iloc[0], abs=1.5e-6)
    assert read.header["tsamp"] == TSAMP
    with open_observation(path) as small:
        values = small.coarse_channel(0)
    np.testing.assert_array_equal(data if frequencies[0] < frequencies[-1] else data[:, ::-1], values)


def test_figures_show_the_most_likely_events(scan, monkeypatch):
    from seti.reports import event_figures

    drawn, original = [], event_figures.draw_event

    def draw(panels, **options):
        drawn.append(options)
        figure = original(panels, **options)
        assert len(figure.axes) == 6
        # The brightest column of the first row lies between the two lines.
        first = figure.axes[0]
        low, high = sorted(line.get_xdata()[0] for line in first.lines)
        scale = 1e3 if max(map(abs, first.get_xlim())) < 20 else 1.0
        left = (options["low_mhz"] - options["freq_mhz"]) * 1e6
        at = (left + panels[0][0].argmax() * options["resolution_hz"]) / scale
        assert low < at < high
        return figure

    monkeypatch.setattr(event_figures, "draw_event", draw)
    folder = scan("figures=2", "cutouts=0")
    assert sorted(path.name for path in (folder / "figures").iterdir()) == ["event_000001.png", "event_000002.png"]
    assert not (folder / "cutouts").exists()
    for path in (folder / "figures").iterdir():
        assert path.read_bytes().startswith(PNG)
    seconds = 100.0
    rates = sorted((one["track_hz"](seconds) - one["track_hz"](0.0)) / seconds for one in drawn)
    assert rates == pytest.approx([0.3, 0.4], abs=0.003)
    assert all(len(one["snrs"]) == 6 and one["snrs"][0] > 5 > one["snrs"][1] for one in drawn)
    assert all(one["targets"][:2] == ["VOYAGER-1", "HIP-B"] for one in drawn)
    assert any(abs(one["freq_mhz"] - frequency(300)) < 1e-6 for one in drawn)


def test_a_cutout_at_the_end_of_the_files_is_narrower(scan, tmp_path):
    from observation_fakes import Tone

    write_cadence(tmp_path / "obs", [Tone(5, 0.1)])
    folder = scan(cadence=tmp_path / "obs")
    (cut,) = (folder / "cutouts" / "event_000001").glob("*_00_*")
    with open_observation(cut) as small:
        assert small.header.lowest_mhz == pytest.approx(frequency(0), abs=1e-9)
