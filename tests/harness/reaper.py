"""Ends processes and removes directories once the process that owns them is gone, however it ended.

process.py runs this file and writes one line per change to its stdin; the end of stdin is the end of the owner. It is
needed where atexit and PR_SET_PDEATHSIG don't reach: an owner killed by SIGKILL leaves directories behind, and the
death signal follows the *thread* that started a process.

    start PID SIGNAL    PID (leader of its own process group) lives; SIGNAL makes it stop at once
    end PID             PID is gone
    make PATH           PATH is ours to remove
    drop PATH           PATH is gone
"""

import os
import shutil
import signal
import sys
import time

PATIENCE = 5.0  # seconds between a process' own signal and SIGKILL


def follow(lines):
    """Reads lines until their end; returns what is left then: {pid: signal} and a set of paths."""
    processes, paths = {}, set()
    for line in lines:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "start":
            pid, number = rest.split()
            processes[int(pid)] = int(number)
        elif word == "end":
            processes.pop(int(rest), None)
        elif word == "make":
            paths.add(rest)
        elif word == "drop":
            paths.discard(rest)
    return processes, paths


def signal_group(pid, number):
    """True if there was something left to signal."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main():
    # Ctrl-C and a closed terminal are for the owner; what follows from them arrives as the end of stdin.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    processes, paths = follow(sys.stdin)
    for pid, number in processes.items():
        signal_group(pid, number)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and any(signal_group(pid, 0) for pid in processes):
        time.sleep(0.05)
    for pid in processes:
        signal_group(pid, signal.SIGKILL)
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
