"""How much memory all pictures that are read at once may take together."""

from __future__ import annotations

import os
import threading
from pathlib import Path

SHARE = 0.5  # of the memory that is there when the first large picture comes
_UNKNOWN = 4 << 30  # bytes, where the system does not say


class Budget:
    """Bytes that callers take and give back; who wants more than are left waits."""

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self._taken = 0
        self._free = threading.Condition()

    def take(self, n: int, seconds: float) -> bool:
        """Wait so long at most; what is more than all there is may be taken by one caller alone."""
        with self._free:
            if self.total is None:
                self.total = int(SHARE * memory_there())
            there = self._free.wait_for(lambda: self._taken == 0 or self._taken + n <= (self.total or 0), seconds)
            self._taken += n if there else 0
            return there

    def give(self, n: int) -> None:
        with self._free:
            self._taken -= n
            self._free.notify_all()


def memory_there() -> int:
    """Bytes that this process and its children may still take: of the machine's, and of its container's."""
    there = [_UNKNOWN]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        there = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")] or there
    except OSError:  # no Linux
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            there = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for most, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            there.append(int(Path(most).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return max(min(there), 0)
