"""What another process uses, from Linux's /proc (proc(5)); elsewhere there is no telling."""

from __future__ import annotations

import os
import resource
from pathlib import Path

KNOWN = Path("/proc/self/stat").exists()
"""Whether this system tells."""
_TICK = os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def cpu(pid: int) -> float:
    """Seconds of CPU used so far, in user and in system mode, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
