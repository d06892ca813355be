"""Scans of a small cadence in this process, by the plain search of `observation_fakes`."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import fake_ray
import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import compose
from observation_fakes import CHANNELS, FOFF, MJD, PANEL_S, TONES, TSAMP, WIDTH, Tone, frequency, write_cadence

from seti.data.observation_cadence import find_cadences
from seti.errors import SetiError
from seti.search import borders, coarse_channel, parts, run, scan_folder
from seti.search.parts import fitting_workers
from seti.utils import files, locks, memory

EXPECTED = {300: 0.3, 1500: -0.2, 2040: 0.4, 3000: 0.0}  # fine channel in ascending frequency: drift rate
COLUMNS = [
    "event",
    "source",
    "ra_deg",
    "dec_deg",
    "freq_mhz",
    "drift_hz_s",
    "snr",
    "score",
    "width_hz",
    "snr_on_1",
    "snr_on_2",
    "snr_on_3",
    "snr_off_1",
    "snr_off_2",
    "snr_off_3",
    "mjd",
    "coarse_channel",
    "index",
    "f_start_mhz",
    "f_end_mhz",
    "n_hits",
    "excluded",
    "files",
]


def found(table: pd.DataFrame) -> dict[int, float]:
    """Drift rates by fine channel."""
    bins = ((table["freq_mhz"] - frequency(0)) / -FOFF).round().astype(int)
    return dict(zip(bins, table["drift_hz_s"], strict=True))


def read(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "events.csv")


def compose_scan(*overrides):
    return compose("scan", list(overrides))


def refused(scan, *overrides, **options) -> str:
    with pytest.raises(SetiError) as error:
        scan(*overrides, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_events_are_one_row_a_signal_most_likely_first(scan, observations, capsys):
    table = read(scan())
    assert list(table.columns) == COLUMNS
    assert list(table["event"]) == [1, 2, 3, 4]
    assert table["score"].is_monotonic_decreasing
    assert found(table) == pytest.approx(EXPECTED, abs=1e-9)
    assert set(table["source"]) == {"VOYAGER-1"}
    assert table["mjd"].eq(MJD).all()
    assert table["ra_deg"].to_numpy() == pytest.approx(15 * 17.21114472222222, abs=1e-6)
    assert (table[["snr_off_1", "snr_off_2", "snr_off_3"]] < 5).all(axis=None)
    assert (table[["snr_on_1", "snr_on_2", "snr_on_3"]] > 5).all(axis=None)
    assert set(table["files"]) == {";".join(sorted(path.name for path in observations.iterdir()))}
    # The file's own numbers: frequencies fall in it.
    in_file = CHANNELS * WIDTH - 1 - np.array(list(found(table)))
    assert list(table["coarse_channel"]) == list(in_file // WIDTH)
    assert list(table["index"]) == list(in_file % WIDTH)
    # Lowest and highest frequency, of a needle that rises and of one that falls.
    seconds = 5 * PANEL_S + 16 * TSAMP
    for drift, start, end in ((0.3, 0.0, 0.3e-6), (-0.2, -0.2e-6, 0.0)):
        row = table[table["drift_hz_s"] == drift].iloc[0]
        assert row["f_start_mhz"] - row["freq_mhz"] == pytest.approx(start * seconds, abs=3e-7)
        assert row["f_end_mhz"] - row["freq_mhz"] == pytest.approx(end * seconds, abs=3e-7)
    assert "4 events in 4 coarse channels." in capsys.readouterr().out


def test_scan_json_has_settings_headers_and_counts(scan):
    record = json.loads((scan("scan.snr=9") / "scan.json").read_text())
    assert record["settings"]["scan"]["snr"] == 9.0
    assert record["search"]["snr"] == 9.0
    assert record["counts"] == {
        **{"coarse_channels": 4, "searched": 4, "nothing_to_search": 0, "excluded": 0, "hits": 9, "candidates": 3},
        **{"events": 4, "events_in_excluded_ranges": 0},
    }
    assert [header["source"] for header in record["headers"]][:2] == ["VOYAGER-1", "HIP-B"]
    assert record["headers"][0]["fch1_mhz"] == 8421.386717353016
    assert record["on"] == [True, False, True, False, True, False]


@pytest.mark.parametrize(("suffix", "foff"), [(".fil", FOFF), (".h5", -FOFF)])
def test_other_formats_and_orders_of_the_same_data_give_the_same_events(scan, tmp_path, suffix, foff):
    write_cadence(tmp_path / "other", foff=foff, suffix=suffix)
    one = read(scan())
    other = read(scan(f"coarse_width={WIDTH}", cadence=tmp_path / "other", out="other_scan"))  # a .fil has no nfpc
    kept = [name for name in COLUMNS if name not in ("files", "coarse_channel", "index")]
    pd.testing.assert_frame_equal(one[kept], other[kept], atol=2e-7, rtol=0)
    in_file = np.array(list(found(other))) if foff > 0 else CHANNELS * WIDTH - 1 - np.array(list(found(other)))
    assert list(other["coarse_channel"]) == list(in_file // WIDTH)
    assert list(other["index"]) == list(in_file % WIDTH)


def test_a_signal_that_crosses_into_the_next_channel_is_one_event(scan, tmp_path):
    # In the first panel in one channel, in the others in the next: neither channel sees it three times.
    for foff in (FOFF, -FOFF):
        write_cadence(tmp_path / f"{foff}", [Tone(WIDTH - 30, 0.4), Tone(2 * WIDTH + 60, -0.3)], foff=foff)
        folder = scan(cadence=tmp_path / f"{foff}", out=f"scan{foff}")
        assert found(read(folder)) == pytest.approx({WIDTH - 30: 0.4, 2 * WIDTH + 60: -0.3}, abs=1e-9)
        for channel in range(CHANNELS):
            assert pd.read_csv(folder / "channels" / f"{channel}.csv").empty


def test_what_a_killed_scan_left_half_written_is_deleted_wherever_it_lies(scan):
    folder = scan("figures=1", "cutouts=1")
    before = sorted(folder.rglob("*"))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = files._host()
    for name in ("", "channels", "turboseti", "figures", "cutouts/event_000001"):
        (folder / name / f".made.{host}-{dead.pid}.part.h5").touch()
        (folder / name / f".made.{host}-{os.getpid()}.part.h5").touch()  # of a scan that runs
    scan("figures=1", "cutouts=1")
    left = set(folder.rglob("*")) - set(before)
    assert sorted(str(path.relative_to(folder)) for path in left) == sorted(
        str(Path(name) / f".made.{host}-{os.getpid()}.part.h5")
        for name in ("", "channels", "turboseti", "figures", "cutouts/event_000001")
    )


def test_channels_of_a_version_that_wrote_no_curvature_are_not_searched_again(scan):
    folder = scan()
    whole = (folder / "events.csv").read_bytes()
    for path in (folder / "channels").glob("*.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table.drop(columns="curvature_hz_s2", errors="ignore").to_csv(path, index=False)
    before = {path: path.stat().st_mtime_ns for path in (folder / "channels").glob("?.csv")}
    (folder / "scan.json").unlink()
    (folder / "events.csv").unlink()
    assert (scan() / "events.csv").read_bytes() == whole
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_borders_are_searched_from_the_files_where_their_spectra_are_gone(scan, monkeypatch):
    whole = (scan() / "events.csv").read_bytes()
    searched = borders.search_border
    for damage in ("unlink", "truncate"):

        def without(task, part, damage=damage):
            for path in task.folder.channels.glob("*.edges.npz"):
                path.unlink() if damage == "unlink" else path.write_bytes(path.read_bytes()[:200])
            searched(task, part)

        monkeypatch.setattr(borders, "search_border", without)
        assert (scan(out=damage) / "events.csv").read_bytes() == whole


def test_a_finished_channel_is_not_searched_again(scan, monkeypatch, capsys):
    folder = scan()
    events = (folder / "events.csv").read_bytes()
    shutil.rmtree(folder / "cutouts")
    (folder / "events.csv").unlink()
    (folder / "channels" / "2.csv").unlink()
    read_channels, original = [], coarse_channel.search_coarse_channel
    monkeypatch.setattr(
        run, "search_coarse_channel", lambda task, part: (read_channels.append(part), original(task, part))
    )
    scan()
    assert read_channels == ["2"]
    assert (folder / "events.csv").read_bytes() == events
    assert len(list((folder / "cutouts").iterdir())) == 4
    scan()
    assert read_channels == ["2"]


@pytest.mark.parametrize("stopped_at", [2, 6, 13, 17, 23, 29, 33])
def test_a_scan_that_is_stopped_anywhere_goes_on_to_the_same_files(scan, monkeypatch, stopped_at):
    """Stop at the n-th file that is about to appear; then scan again."""
    whole = scan(out="whole")
    count, original = [0], files._flush

    def stop(path):
        count[0] += 1
        if count[0] == stopped_at:
            raise KeyboardInterrupt
        original(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_flush", stop)
        with pytest.raises(KeyboardInterrupt):
            scan()
    scan(out="scan")
    one, two = whole, whole.parent / "scan"
    for name in ("events.csv", "turboseti"):
        for path in [one / name] if (one / name).is_file() else (one / name).glob("*.[cd]*"):  # .csv and .dat
            assert (two / path.relative_to(one)).read_bytes() == path.read_bytes()
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (one, two)]
    assert names[0] == names[1]


def test_actors_find_the_same_events_and_one_that_is_killed_is_replaced(scan, monkeypatch):
    whole = scan().joinpath("events.csv").read_bytes()
    ray = fake_ray.install(monkeypatch, fake_ray.FakeRay({"CPU": 2.0}, kills=[1]))
    folder = scan("launcher=ray", out="by_actors")
    assert folder.joinpath("events.csv").read_bytes() == whole
    assert ray.started == 3
    assert ray.options[0]["memory"] > parts.BASE_BYTES
    folder.joinpath("channels", "2.csv").unlink()
    again = fake_ray.install(monkeypatch, fake_ray.FakeRay())
    scan("launcher=ray", out="by_actors")
    assert folder.joinpath("events.csv").read_bytes() == whole
    assert again.calls == 1  # the channel alone


def test_shards_are_merged_by_the_last_one_or_by_a_run_without_shard(scan, monkeypatch, capsys):
    whole = scan(out="whole")
    for shard in ("3/3", "1/3"):
        folder = scan(f"shard={shard}", out="parts")
        assert not (folder / "events.csv").exists()
        assert not (folder / "scan.json").exists()
    said = capsys.readouterr().out
    assert f"{folder}: shard 3/3 is done, 2 of 4 coarse channels of the scan are. " in said
    assert "shard 1/3 is done, 3 of 4 coarse channels" in said
    scan("shard=2/3", out="parts")
    assert "shard 2/3 is done, 4 of 4 coarse channels" in capsys.readouterr().out
    assert (folder / "events.csv").read_bytes() == (whole / "events.csv").read_bytes()
    monkeypatch.setattr(run, "search_coarse_channel", None)
    for again in (("shard=1/3",), ()):
        (folder / "events.csv").unlink()
        assert (scan(*again, out="parts") / "events.csv").read_bytes() == (whole / "events.csv").read_bytes()


def test_other_settings_and_other_files_are_refused(scan, tmp_path):
    folder = scan()
    assert refused(scan, "scan.snr=9") == (
        f"{folder} holds a scan with scan.snr=7.0, and now scan.snr=9.0: set out to another folder, or give the same "
        "settings to go on with this scan"
    )
    assert "holds a scan with scan.channels=[0, 1, 2, 3], and now scan.channels=[1]: " in refused(
        scan, "scan.channels=[1]"
    )
    assert "scan.exclude=[], and now scan.exclude=[[1200.0, 1341.2]]" in refused(scan, "scan.exclude=gbt_l_notch")
    write_cadence(tmp_path / "other", [], foff=-FOFF)
    assert "holds a scan with headers=" in refused(scan, cadence=tmp_path / "other")
    scan("shard=1/2", "truth=null", "cutouts=1", "ecsv=true")  # what results of channels do not depend on


def test_only_the_chosen_channels_are_searched(scan):
    folder = scan("scan.channels=[0,3]")
    assert sorted(path.name for path in (folder / "channels").glob("*.csv") if "hits" not in path.name) == [
        "0.csv",
        "3.csv",
    ]
    assert found(read(folder)) == pytest.approx({300: 0.3}, abs=1e-9)
    low, high = frequency(WIDTH + 100), frequency(WIDTH + 200)
    folder = scan(f"scan.frequencies=[[{low},{high}]]", out="by_frequency")
    assert set(read(folder)["coarse_channel"]) <= {2}


def test_events_in_excluded_ranges_are_marked_and_come_last(scan, capsys):
    low, high = frequency(200), frequency(310)
    folder = scan(f"scan.exclude=[[{low},{high}]]")
    table = read(folder)
    assert list(table["excluded"]) == [0, 0, 0, 1]
    assert list(found(table))[-1] == 300
    assert table["score"].iloc[-1] > table["score"].iloc[0]
    assert "3 events, and 1 in excluded ranges in 4 coarse channels." in capsys.readouterr().out
    assert len(list((folder / "cutouts").iterdir())) == 3
    events = pd.read_csv(next((folder / "turboseti").glob("*.csv")))
    assert len(events) == 9
    assert json.loads((folder / "scan.json").read_text())["counts"]["events_in_excluded_ranges"] == 1


def test_a_channel_that_is_excluded_as_a_whole_is_not_searched(scan):
    folder = scan(f"scan.exclude=[[{frequency(-2)},{frequency(WIDTH + 2)}]]")
    assert not (folder / "channels" / "3.csv").exists()
    record = json.loads((folder / "scan.json").read_text())
    assert record["excluded_channels"] == [3]
    assert record["counts"]["searched"] == 3


def test_events_below_the_least_score_are_left_out(scan):
    assert (read(scan("scan.score=0.4"))["score"] >= 0.4).all()
    assert len(read(scan("scan.score=0.4"))) == 2


def damaged(kind):
    def change(panel, values):
        part = slice(2 * WIDTH, 3 * WIDTH)  # the third lowest coarse channel, and so the files' channel 1
        if panel == 3 and kind != "some":
            values[:, part] = {"zeros": 0.0, "constant": 7.0, "nan": np.nan, "inf": np.inf}[kind]
        elif panel == 3:
            values[4, 2 * WIDTH + 5] = np.nan
        return values

    return change


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("zeros", "every value of blc0_03_HIP-C.rawspec.0000.h5 is 0"),
        ("constant", "every value of blc0_03_HIP-C.rawspec.0000.h5 is 7"),
        ("nan", "16384 of 16384 values of blc0_03_HIP-C.rawspec.0000.h5 are NaN or infinite"),
        ("inf", "16384 of 16384 values of blc0_03_HIP-C.rawspec.0000.h5 are NaN or infinite"),
    ],
)
def test_a_channel_that_holds_nothing_is_counted_and_named(scan, tmp_path, capsys, kind, reason):
    write_cadence(tmp_path / "damaged", change=damaged(kind))
    folder = scan(cadence=tmp_path / "damaged")
    assert set(found(read(folder))) == {300, 1500}
    record = json.loads((folder / "scan.json").read_text())
    assert record["nothing_to_search"] == {"1": reason}
    assert record["counts"]["nothing_to_search"] == 1
    assert (
        f"1 coarse channel of 4 held nothing to search, first 1: {reason}; scan.json lists all"
        in capsys.readouterr().out
    )


def test_single_missing_values_are_filled_and_counted(scan, tmp_path):
    write_cadence(tmp_path / "damaged", change=damaged("some"))
    folder = scan(cadence=tmp_path / "damaged")
    assert set(found(read(folder))) == set(EXPECTED)
    record = json.loads((folder / "scan.json").read_text())
    assert record["values_filled"] == {"1": {"blc0_03_HIP-C.rawspec.0000.h5": 1}}


def test_a_channel_that_another_process_searches_is_waited_for(scan, monkeypatch, capsys):
    folder = scan(out="whole")
    other = folder.parent / "scan"
    (other / "channels").mkdir(parents=True)
    held = multiprocessing.get_context("fork").Process(target=_hold, args=(other / "channels", "1"))
    held.start()
    while not (other / "channels" / ".1.lock").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    waited = []
    monkeypatch.setattr(parts.time, "sleep", lambda _: (waited.append(1), held.kill(), held.join()))
    scan()
    assert len(waited) == 1
    assert f"waiting for another process on {other}, which searches 1" in capsys.readouterr().out
    assert (other / "events.csv").read_bytes() == (folder / "events.csv").read_bytes()


def _hold(folder, part):
    with locks.hold(folder, "searching", name=f".{part}.lock"):
        time.sleep(60)


def test_many_cadences_have_a_folder_each(scan, observations, tmp_path, monkeypatch, capsys):
    write_cadence(tmp_path / "second", TONES[:1])
    rows = [("one", path) for path in observations.iterdir()] + [
        ("two/x", path) for path in (tmp_path / "second").iterdir()
    ]
    pd.DataFrame(rows, columns=["cadence", "file"]).to_csv(tmp_path / "all.csv", index=False)
    folders = run.scan(
        compose_scan(
            f"cadence={tmp_path / 'all.csv'}", f"out={tmp_path / 'scans'}", "workers=1", "figures=0", "cutouts=0"
        )
    )
    assert [folder.path.name for folder in folders] == ["one", "two_x"]
    assert [len(read(folder.path)) for folder in folders] == [4, 1]
    assert "cadence 2 of 2: VOYAGER-1, " in capsys.readouterr().out


def test_the_default_folder_is_named_after_source_and_date(scan, observations, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder,) = run.scan(compose_scan(f"cadence={observations}", "workers=1", "figures=0", "cutouts=0"))
    assert str(folder.path) == "scans/VOYAGER-1_60000.2500"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scan.snr=1", "scan.snr=1.0 must be at least 3: lower ones are noise"),
        ("scan.max_drift=0", "scan.max_drift=0.0 must be between 0.01 and 1000 Hz/s"),
        ("scan.score=2", "scan.score=2.0 must be between 0 and 1"),
        ("+scan.max_drif=1", "scan.max_drif is not a setting: did you mean scan.max_drift?"),
        ("+chanels=1", "chanels is not a setting: --cfg job prints those that there are"),
        ("workers=0", "workers=0 must be 1 or more, or null for one per core"),
        ("figures=-1", "figures=-1 must be at least 0; null: all events"),
        ("shard=3/2", "shard=3/2 is not a shard: the second of four is shard=2/4"),
        ("feed=1", "feed=1 is none of the 1 polarisation products of {first}: 0 to 0 (total power)"),
        ("ckpt_dir=nowhere", "ckpt_dir=nowhere is not a folder: give an experiment's, such as outputs/<exp_name>"),
    ],
)
def test_settings_that_cannot_work_are_one_line(scan, observations, override, message):
    said = refused(scan, override)
    assert said == message.format(first=sorted(observations.iterdir())[0])


def test_one_row_is_refused(scan, tmp_path):
    paths = write_cadence(tmp_path / "flat", change=lambda panel, values: values[:1])
    assert refused(scan, f"cadence={tmp_path / 'flat'}") == (
        f"{paths[0]} has 1 row, in which nothing drifts: give observations of 2 or more"
    )


def test_the_polarisation_that_is_searched_is_named(scan, tmp_path, capsys):
    paths = write_cadence(tmp_path / "two")
    for path in paths:
        with h5py.File(path, "r+") as file:
            data, attributes = file["data"][:], dict(file["data"].attrs)
            del file["data"]
            file.create_dataset("data", data=np.repeat(data, 2, axis=1)).attrs.update({**attributes, "nifs": 2})
    scan(f"cadence={tmp_path / 'two'}", "feed=1")
    said = f"{paths[0].name} has 2 polarisation products (feed=0 XX, feed=1 YY): feed=1 is searched\n"
    assert said in capsys.readouterr().out


def test_a_machine_with_too_little_memory_is_named(scan, monkeypatch, capsys):
    monkeypatch.setattr(memory, "available_bytes", lambda: 100_000_000)
    assert refused(scan) == (
        "a coarse channel of 1024 fine channels and 16 rows takes about 0.3 GB of memory, and 0.1 GB are available: "
        "end other programs, or set coarse_width to a smaller part of the channels"
    )


def test_no_more_workers_are_started_than_memory_allows(observations, monkeypatch, capsys):
    header = find_cadences(observations)[0].header
    monkeypatch.setattr(memory, "available_bytes", lambda: 700_000_000)
    assert fitting_workers(8, header, 100) == 2
    assert capsys.readouterr().out == "workers=8 take about 2.4 GB, which are not available: 2 are used\n"
    assert fitting_workers(None, header, 1) == 1
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    assert fitting_workers(8, header, 100) == 8
    assert fitting_workers(8, header, 3) == 3
    # A file that is searched as one coarse channel of 10^8 fine channels would take 51 GB.
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * 2**30)
    with pytest.raises(
        SetiError, match=r"^a coarse channel of 100000000 fine channels and 16 rows takes about 51.5 GB"
    ):
        fitting_workers(None, replace(header, coarse_width=10**8), 1)


def test_figures_and_cutouts_of_another_table_are_deleted(scan, monkeypatch):
    folder = scan("figures=1", "cutouts=2")
    assert [path.name for path in (folder / "figures").iterdir()] == ["event_000001.png"]
    assert sorted(path.name for path in (folder / "cutouts").iterdir()) == ["event_000001", "event_000002"]
    (folder / "events.csv").write_text("another\n")
    (folder / "cutouts" / "event_000009").mkdir()
    scan("figures=0", "cutouts=1")
    assert list((folder / "figures").iterdir()) == []
    assert [path.name for path in (folder / "cutouts").iterdir()] == ["event_000001"]


def test_a_full_disk_is_found_before_the_search(scan, monkeypatch):
    monkeypatch.setattr(scan_folder.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1_000_000))
    assert "has 1 MB free: free some space, or set out to another folder" in refused(scan)
