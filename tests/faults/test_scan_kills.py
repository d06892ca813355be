import time

import pytest
from scan_kills import scan_with_kills, start


@pytest.mark.faults
def test_twenty_kills_change_nothing_of_the_events(run_command, tmp_path):
    words = ("preset=cadence", "cadence.coarse_channels=6", "cadence.coarse_width=32768")
    assert run_command("-m", "seti.simulate", "root=obs", *words).code == 0
    common = ["cadence=obs", "workers=2", "figures=3"]
    began = time.monotonic()
    whole = start(tmp_path, *common, "out=whole")
    _, said = whole.communicate()
    longest = min(0.7 * (time.monotonic() - began), 5.0)  # the first scan may have compiled, too
    assert whole.returncode == 0, said
    kills = scan_with_kills(tmp_path, tmp_path / "killed", 20, 0, longest, *common, "out=killed")
    assert kills > 3
    names = ["events.csv", *(f"turboseti/{path.name}" for path in (tmp_path / "whole" / "turboseti").glob("*.[cd]*"))]
    for name in names:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    files = [
        sorted(str(p.relative_to(tmp_path / one)) for p in (tmp_path / one).rglob("*")) for one in ("whole", "killed")
    ]
    assert files[0] == files[1]
