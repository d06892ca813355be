"""turboSETI's formats, against texts and rules taken from the sources of turbo_seti 2.3.2."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from observation_fakes import FOFF, MJD, PANEL_S, TSAMP, WIDTH, frequency

from seti.search.turboseti import COLUMNS, panel_hits, sexagesimal

# Written by turbo_seti 2.3.2's FileWriter, given the header and the hit below.
HEADER = """\
# -------------------------- o --------------------------
# File ID: blc0_00_VOYAGER-1.rawspec.0000.h5\x20
# -------------------------- o --------------------------
# Source:VOYAGER-1
# MJD: 60000.250000000000\tRA: 17h12m40.121s\tDEC: 12d24m00s
# DELTAT:  18.253611\tDELTAF(Hz):  -2.793968\tmax_drift_rate:   4.000000\tobs_length: 292.057776
# --------------------------
# Top_Hit_# \tDrift_Rate \tSNR \tUncorrected_Frequency \tCorrected_Frequency \tIndex \tfreq_start \tfreq_end \tSEFD \t\
SEFD_freq \tCoarse_Channel_Number \tFull_number_of_hits \t
# --------------------------
"""


ONE_CHANNEL = SimpleNamespace(  # a header
    **{"rows": 16, "tsamp_s": 18.25, "resolution_hz": 2.79, "fch1_mhz": 1000.0, "foff_mhz": 2.79e-6},
    **{"coarse_channels": 1, "coarse_width": 2**16},
)


def read_dat(path) -> pd.DataFrame:
    """A `.dat` as turboSETI's `find_event.read_dat` takes it apart."""
    lines = path.read_text().splitlines()[9:]
    return pd.DataFrame([line.split() for line in lines]).apply(pd.to_numeric)


@pytest.fixture
def written(scan):
    return scan() / "turboseti"


def test_a_dat_file_is_turbosetis_byte_by_byte(written):
    text = (written / "blc0_00_VOYAGER-1.rawspec.0000.dat").read_text()
    assert text.startswith(HEADER)
    lines = text.removeprefix(HEADER).split("\n")
    assert lines[-1] == ""
    # The needle of 0.3 Hz/s, in coarse channel 3, fine channel 723 counted from its highest frequency.
    distance = 2 * np.ceil(4.0 / (FOFF * -1e6 / (15 * TSAMP)))
    low, high = max(0, 723 - distance), min(WIDTH, 723 + distance) - 1
    first = frequency(WIDTH - 1)
    middle = first + 723 * FOFF
    expected = (
        f"000004\t{0.3:10.6f}\t {'29.476368'}\t{middle:14.6f}\t{middle:14.6f}\t723\t"
        f"{first + low * FOFF:14.6f}\t{first + high * FOFF:14.6f}\t0.0\t{0.0:14.6f}\t3\t1\t"
    )
    assert lines[3].split("\t")[3:] == expected.split("\t")[3:]
    assert lines[3].split("\t")[:2] == expected.split("\t")[:2]
    assert len(lines[3].split("\t")) == 13
    assert all(len(line.split("\t")[2]) == 10 for line in lines[:-1])


def test_hits_are_in_order_of_coarse_channel_and_index(written):
    for path in written.glob("*.dat"):
        table = read_dat(path)
        if "VOYAGER" in path.name:
            assert len(table) == 4
            order = table[[10, 5]].apply(tuple, axis=1).tolist()
            assert order == sorted(order)
            assert list(table[0]) == [1, 2, 3, 4]
        else:
            assert table.empty


def test_a_hit_that_does_not_drift_has_drift_0(written):
    table = read_dat(written / "blc0_02_VOYAGER-1.rawspec.0000.dat")
    assert (table[1] == 0).sum() == 1
    assert "  0.000000\t" in (written / "blc0_02_VOYAGER-1.rawspec.0000.dat").read_text()


def test_an_event_has_a_hit_in_every_on_file(written):
    """Of the event that crosses from one channel into the next, one channel's search alone has no hits."""
    (path,) = written.glob("*.csv")
    assert path.name == "VOYAGER-1_f3_snr7.csv"
    table = pd.read_csv(path, index_col=0)
    assert tuple(table.columns) == COLUMNS
    header = (
        ",TopHitNum,DriftRate,SNR,Freq,ChanIndx,FreqStart,FreqEnd,CoarseChanNum,FullNumHitsInRange,FileID,Source,MJD,RA,"
        "DEC,DELTAT,DELTAF,max_drift_rate,obs_length,Hit_ID,status,in_n_ons,RFI_in_range,delta_t\n"
    )
    assert path.read_text().startswith(header)
    assert list(table["status"]) == ["on_table_1", "on_table_2", "on_table_3"] * 4
    assert table["Hit_ID"].value_counts().tolist() == [3, 3, 3, 3]
    first = table[table["status"] == "on_table_1"]
    # turboSETI names an event after the number of its first hit in the table of all ON hits.
    assert list(first["Hit_ID"]) == [f"VOYAGER-1_{index}" for index in first.index]
    assert list(first["in_n_ons"]) == [2] * 4
    assert table["delta_t"].to_numpy() == pytest.approx([0, 2 * PANEL_S, 4 * PANEL_S] * 4, abs=1e-4)
    assert first["MJD"].eq(MJD).all()
    # Frequencies follow the drift from panel to panel.
    for _, event in table.groupby("Hit_ID"):
        moved = (event["Freq"] - event["Freq"].iloc[0]) * 1e6  # from middle to middle of two channels
        expected = event["DriftRate"].iloc[0] * event["delta_t"].to_numpy()
        assert moved.to_numpy() == pytest.approx(expected, abs=-FOFF * 1e6 + 1)
    rows = [read_dat(written / f"blc0_0{panel}_VOYAGER-1.rawspec.0000.dat") for panel in (0, 2, 4)]
    joined = pd.concat(rows, ignore_index=True)
    for index, row in table.iterrows():
        assert joined.loc[index, [0, 1, 2, 3, 5]].tolist() == row.iloc[:5].tolist()


def test_the_lists_name_all_files_in_the_order_of_time(written, observations):
    assert (written / "h5_files.lst").read_text().split() == [str(path) for path in sorted(observations.iterdir())]
    dats = (written / "dat_files.lst").read_text().split()
    assert [path.rpartition("/")[2] for path in dats] == [f"{path.stem}.dat" for path in sorted(observations.iterdir())]


def test_a_scan_without_events_writes_empty_tables(scan):
    folder = scan("scan.channels=[0]") / "turboseti"
    (path,) = folder.glob("*.csv")
    assert pd.read_csv(path, index_col=0).empty
    assert len(list(folder.glob("*.dat"))) == 6
    assert (folder / "blc0_00_VOYAGER-1.rawspec.0000.dat").read_text() == HEADER


def test_angles_are_printed_as_astropy_prints_them():
    angles = pytest.importorskip("astropy.coordinates")
    values = [17.21114472222222, 5.0, 0.0, 3.9999999999999, 1.000000123, 9.99972222222, 23.99999999, 12.183]
    for value in [*values, *np.random.default_rng(0).uniform(0, 24, 200)]:
        assert sexagesimal(value, "h") == str(angles.Angle(value, unit="hr"))
    for value in [12.4, -0.5042, -12.199999999, -91.123456789, *np.random.default_rng(1).uniform(-90, 90, 200)]:
        assert sexagesimal(value, "d") == str(angles.Angle(value, unit="deg"))


def test_a_curved_events_hits_are_those_on_its_track_and_not_on_a_straight_line():
    starts = [p * 320.0 for p in range(6)]
    on = [True, False] * 3
    cadence = SimpleNamespace(headers=[ONE_CHANNEL] * 6, panel_start_s=starts, on=on)
    task = SimpleNamespace(cadence=cadence, span_s=starts[-1] + 16 * 18.25)
    last, drift, curvature = starts[-1] + 15 * 18.25, 0.4, 0.001

    def where(seconds):
        return 1000.05 + (drift * seconds + 0.5 * curvature * seconds * (seconds - last)) / 1e6

    events = pd.DataFrame(
        {"event": [1], "freq_mhz": [1000.05], "drift_hz_s": [drift], "curvature_hz_s2": [curvature], "width_hz": [8.0]}
    ).assign(snr_on_1=30.0, snr_on_2=31.0, snr_on_3=32.0)
    for panel in (0, 2, 4):
        own = pd.DataFrame({"panel": panel, "freq_mhz": [where(starts[panel]), 1000.09, 1000.02]})
        found = panel_hits(task, panel, own.assign(drift_hz_s=0.1, snr=30.0), events)
        assert len(found) == 3
        assert found.loc[found.event == 1, "freq_mhz"].tolist() == [where(starts[panel])]
        missing = own.iloc[1:].assign(drift_hz_s=0.1, snr=30.0)  # no hit near the track: one is added on it
        (added,) = panel_hits(task, panel, missing, events).query("event == 1").itertuples()
        assert added.freq_mhz == pytest.approx(where(starts[panel]), abs=1e-9)
        assert added.drift_hz_s == pytest.approx(drift + curvature * (starts[panel] + 7.5 * 18.25 - last / 2))


def test_every_event_has_a_hit_of_its_own_the_nearest_first_come():
    cadence = SimpleNamespace(headers=[ONE_CHANNEL], panel_start_s=[0.0], on=[True])
    task = SimpleNamespace(cadence=cadence, span_s=292.0)
    events = pd.DataFrame({"event": [1, 2, 3], "freq_mhz": [1000.05, 1000.050002, 1000.05], "drift_hz_s": 0.0})
    events = events.assign(curvature_hz_s2=0.0, width_hz=8.0, snr_on_1=9.0)
    own = pd.DataFrame({"panel": 0, "freq_mhz": [1000.050003, 1000.050001], "drift_hz_s": 0.0, "snr": [20.0, 30.0]})
    found = panel_hits(task, 0, own, events).sort_values("event")
    assert found.event.tolist() == [1, 2, 3]
    assert found.freq_mhz.tolist() == [1000.050001, 1000.050003, 1000.05]
