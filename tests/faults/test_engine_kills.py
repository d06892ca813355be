"""Workers and drivers of each engine, killed; the same command goes on: in `make test-faults`."""

import pytest
import slurm_cluster

NEEDS = {"joblib": "joblib", "ray": "ray", "actors": "ray", "slurm": "submitit"}


@pytest.mark.faults
@pytest.mark.parametrize("engine", NEEDS)
def test_ten_kills_are_ten_exact_recoveries(run, engine):
    pytest.importorskip(NEEDS[engine], reason=f"{NEEDS[engine]} is not installed")
    if engine == "slurm" and slurm_cluster.missing():
        pytest.skip(f"{', '.join(slurm_cluster.missing())} not installed: Debian has them in slurm-wlm and munge")
    done = run("tests/faults/engine_kills.py", "--engine", engine, "--kills", "10", "--seed", "1", timeout=3600)
    print(done.out)
    assert done.code == 0, done.out + done.err
    assert "10 kills, 10 exact recoveries" in done.out
