"""What a command and everything that it starts hold in memory while it runs."""

import os
import signal
import subprocess
import time
from pathlib import Path

_LOOK_S = 0.1
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def watched(process: "subprocess.Popen[bytes]", limit_s: float) -> float | None:
    """The most memory of all processes of a session, in MB; None where it had to be stopped.

    It was started with ``start_new_session``. Workers that lead groups of their own are in it.
    """
    until, peak = time.monotonic() + limit_s, 0.0
    while process.poll() is None:
        peak = max(peak, _held(process.pid))
        if time.monotonic() > until:
            os.killpg(process.pid, signal.SIGKILL)
            return None
        time.sleep(_LOOK_S)
    return peak


def _held(session: int) -> float:
    """What the processes of a session hold, in MB; pages that they share are counted for each."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[3]) == session:
                total += int((folder / "statm").read_text().split()[1]) * _PAGE_MB
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return total
