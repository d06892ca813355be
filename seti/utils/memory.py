"""Memory that this process may still use."""

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
# Limit and use of a container: version 2 and version 1 of control groups.
CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def available_bytes() -> int | None:
    """Return the bytes that are free or can be freed at once; None if the system hides it."""
    found = []
    try:
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError, IndexError):
        pass
    for limit, used in CGROUPS:
        try:
            found.append(int(limit.read_text()) - int(used.read_text()))  # "max" is not a number: no limit
        except (OSError, ValueError):
            continue
    return max(0, min(found)) if found else None
