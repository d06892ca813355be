"""`seti simulate preset=cadence`, then `seti scan`, each with a fresh interpreter."""

import json

import pandas as pd
import pytest
from conftest import compose

from seti.__main__ import main
from seti.search import run


def test_observations_are_simulated_searched_and_measured(run_command, tmp_path, monkeypatch, capsys):
    sizes = ("cadence.coarse_channels=2", "cadence.coarse_width=16384", "cadence.needles=3", "cadence.decoys=3")
    made = run_command("-m", "seti.simulate", "preset=cadence", "root=obs", "snr=[30,60]", *sizes)
    assert made.code == 0, made.err
    assert "next:  python -m seti.scan cadence=obs" in made.out
    done = run_command("-m", "seti.scan", "cadence=obs", "truth=obs/truth.csv", "out=scan", "workers=2", "figures=1")
    assert done.code == 0, done.err
    assert done.err == ""
    assert "recall of 3 signals: " in done.out
    folder = tmp_path / "scan"
    assert {path.name for path in folder.iterdir()} == {
        *("channels", "cutouts", "events.csv", "figures", "recovery.csv", "recovery.png", "scan.json", "turboseti"),
    }
    events = pd.read_csv(folder / "events.csv")
    assert len(events) >= 2
    assert json.loads((folder / "scan.json").read_text())["counts"]["events"] == len(events)
    # The same by one process, here; and a mistyped key in one line.
    monkeypatch.chdir(tmp_path)
    run.scan(compose("scan", ["cadence=obs", "out=one", "workers=1", "figures=0", "cutouts=0"]))
    assert (tmp_path / "one" / "events.csv").read_bytes() == (folder / "events.csv").read_bytes()
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["seti", "scan", "cadence=obs", "scan.max_drif=2"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (1, 1)
    assert "scan.max_drif is not a setting: did you mean scan.max_drift?" in said
