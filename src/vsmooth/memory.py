"""How much memory this process has needed."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> int | None:
    """Most bytes of memory that this process held at once, libraries included; None where it cannot be told (Windows).

    On Linux VmHWM: the peak of getrusage also counts that of the process which started this one, as the system passes
    it on through fork and exec.
    """
    if sys.platform == "win32":
        return None
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS reports bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
