import numpy as np
import pandas as pd
import pytest
from observation_fakes import frequency

from seti.errors import SetiError
from seti.search.recovery import curves, match, of_cadence, read_truth

TRUTH = pd.DataFrame(
    {
        "kind": ["needle", "needle", "everywhere", "needle", "needle"],
        "freq_mhz": [1400.0, 1400.1, 1400.2, 1400.3, 1400.4],
        "drift_hz_s": [0.5, -2.0, 0.1, 0.05, 3.0],
        "snr": [20.0, 40.0, 50.0, 9.0, 60.0],
    }
)


def events(*rows, excluded=0) -> pd.DataFrame:
    """Events of (row of the truth or None, Hz off, Hz/s off), most likely first."""
    table = [
        (2000.0 + number, 0.0) if row is None else (TRUTH["freq_mhz"][row] + hz / 1e6, TRUTH["drift_hz_s"][row] + drift)
        for number, (row, hz, drift) in enumerate(rows)
    ]
    made = pd.DataFrame(table, columns=["freq_mhz", "drift_hz_s"])
    return made.assign(score=np.linspace(0.9, 0.5, len(made)), excluded=excluded)


def test_an_event_finds_the_nearest_signal_within_the_limits():
    given = events((0, 49.0, 0.1), (1, -51.0, 0.0), (1, 0.0, 0.21), (1, 0.0, -0.19), (2, 0.0, 0.0), (3, 0.0, 0.0))
    assert list(match(given, TRUTH)) == [0, -1, -1, 1, -1, 3]


def test_a_signal_is_found_once():
    assert list(match(events((0, 5.0, 0.0), (0, 0.0, 0.0)), TRUTH)) == [0, -1]


def test_recall_at_a_number_of_false_alarms():
    # In the order of the score: found, alarm, found, alarm, alarm, found.
    given = events((0, 0, 0), (None, 0, 0), (1, 0, 0), (2, 0, 0), (None, 0, 0), (3, 0, 0))
    table = curves(given, TRUTH, 1, 2.8, 18.25, [0, 1, 3])
    overall = table[table["by"] == "all"].set_index("false_alarms")
    assert list(overall["signals"]) == [4, 4, 4]
    assert list(overall["found"]) == [1, 2, 3]
    assert list(overall["recall"]) == [0.25, 0.5, 0.75]
    assert overall["threshold"].to_numpy() == pytest.approx([0.9, 0.74, 0.5])
    # Two coarse channels allow twice as many.
    table = curves(given, TRUTH, 2, 2.8, 18.25, [1])
    assert table[table["by"] == "all"]["found"].tolist() == [2]
    table = curves(given.assign(excluded=1), TRUTH, 2, 2.8, 18.25, [1])
    assert table[table["by"] == "all"]["found"].tolist() == [0]


def test_recall_by_snr_effective_snr_and_drift():
    table = curves(events((0, 0, 0), (1, 0, 0)), TRUTH, 1, 2.8, 18.25, [0])

    def found(by):
        one = table[(table["by"] == by) & (table["signals"] > 0)]
        return {(row.low, row.high): (row.found, row.signals) for row in one.itertuples()}

    assert found("snr") == {(8, 10): (0, 1), (20, 30): (1, 1), (30, 50): (1, 1), (50, 100): (0, 1)}
    # 60 / sqrt(3 * 18.25 / 2.8) = 13.6; 40 / sqrt(2 * 18.25 / 2.8) = 11.1; 20 / sqrt(0.5 * 18.25 / 2.8) = 11.1
    assert found("effective_snr") == {(8, 10): (0, 1), (10, 12): (2, 2), (12, 15): (0, 1)}
    assert found("drift") == {(0, 0.1): (0, 1), (0.5, 1): (1, 1), (2, 3): (1, 1), (3, 4): (0, 1)}
    assert set(curves(events(), TRUTH.assign(snr_one_channel=1.0), 1, 2.8, 18.25, [0])["by"]) == {"all", "snr", "drift"}
    one = table[(table["by"] == "effective_snr") & (table["low"] == 10)].iloc[0]
    # Wilson's interval at one deviation, of 2 in 2.
    assert (one["recall_low"], one["recall_high"]) == pytest.approx((2 / 3, 1.0))


def test_a_scan_with_the_truth_writes_curves(scan, tmp_path, capsys):
    rows = [
        ("needle", 300, 0.3),
        ("needle", 1500, -0.2),
        ("needle", 2040, 0.4),
        ("needle", 2700, 0.1),
        ("off", 3500, 0.1),
    ]
    truth = pd.DataFrame(rows, columns=["kind", "freq_mhz", "drift_hz_s"]).assign(snr=30.0)
    truth["freq_mhz"] = frequency(truth["freq_mhz"].to_numpy(float))
    truth.to_csv(tmp_path / "truth.csv", index=False)
    folder = scan(f"truth={tmp_path / 'truth.csv'}")
    table = pd.read_csv(folder / "recovery.csv")
    assert list(table[table["by"] == "all"]["found"]) == [3, 3, 3]
    assert (folder / "recovery.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert (
        f"recall of 4 signals: 0.75 at 0, 0.75 at 1, 0.75 at 3 false alarms a coarse channel; {folder}/recovery.csv"
        in said
    )
    # Only the searched channels count.
    folder = scan(f"truth={tmp_path / 'truth.csv'}", "scan.channels=[3]", out="one")
    assert "recall of 1 signals: 1.00 at 0" in capsys.readouterr().out.replace("signal:", "signals:")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="snr"), r"truth.csv has no column snr: it has kind, freq_mhz, drift_hz_s; "),
        (
            lambda t: t.assign(kind="off"),
            "truth=.*truth.csv lists no needle: give the table that was written with the signals",
        ),
        (
            lambda t: t.assign(snr=["1", "2", "3", "x", "5"]),
            "truth.csv has no numbers for the needle in line 5: restore the",
        ),
        (
            lambda t: t.assign(freq_mhz=1.0),
            "lists no needle in the frequencies that are searched: give the cadence's table",
        ),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(scan, tmp_path, change, message):
    change(TRUTH).to_csv(tmp_path / "truth.csv", index=False)
    with pytest.raises(SetiError, match=message):
        scan(f"truth={tmp_path / 'truth.csv'}")


def test_a_truth_without_a_file_is_refused(tmp_path):
    with pytest.raises(SetiError, match=r"cannot read .*absent.csv as a table"):
        read_truth(tmp_path / "absent.csv")


STARTS = [59000.25 + 0.004 * panel for panel in range(6)]


def test_signals_of_another_cadence_are_left_out_and_a_table_of_others_alone_is_refused(tmp_path):
    path, shift = tmp_path / "truth.csv", 2 / 86400
    own = " ".join(f"{start:.8f}" for start in STARTS)
    other = " ".join(f"{start + shift:.8f}" for start in STARTS)
    table = TRUTH.assign(starts_mjd=[own, other, own, other, own])
    assert list(of_cadence(table, path, STARTS)["snr"]) == [20.0, 50.0, 60.0]
    with pytest.raises(SetiError) as error:
        of_cadence(table, path, [start - shift for start in STARTS])
    assert str(error.value) == (
        f"truth={path} is of another cadence: its observations begin at "
        "59000.25000 59000.25400 59000.25800 59000.26200 59000.26600 59000.27000 (MJD), those that are searched at "
        "59000.24998 59000.25398 59000.25798 59000.26198 59000.26598 59000.26998; "
        "give the truth.csv that was written with them"
    )
    assert of_cadence(TRUTH, path, STARTS) is TRUTH  # a table of the user's own does not say


@pytest.mark.parametrize("cell", ["nan", "", "59000.25", "a b c d e f", "nan nan nan nan nan nan"])
def test_start_times_that_say_nothing_are_those_of_another_cadence(cell, tmp_path):
    with pytest.raises(SetiError, match="is of another cadence"):
        of_cadence(TRUTH.assign(starts_mjd=cell), tmp_path / "truth.csv", STARTS)
