"""Training on two devices, killed and resumed exactly: in `make test-faults`."""

import pytest


@pytest.mark.faults
def test_twenty_kills_on_two_devices_are_twenty_exact_recoveries(run):
    done = run("tests/faults/device_kills.py", "--kills", "20", "--seed", "1", timeout=3600)
    print(done.out)
    assert done.code == 0, done.out + done.err
    assert "20 kills, 20 exact recoveries" in done.out
