"""The machine, and what processes have used of it."""

import json
import os
import platform
import statistics
import time
from pathlib import Path

_TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")  # microseconds


def facts(postgres, kafka_libs):
    """What a reader has to know to compare figures."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    models = [line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    versions = [path.stem.removeprefix("kafka-clients-") for path in kafka_libs.glob("kafka-clients-*.jar")]
    return {
        "cpu_model": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "postgres_version": postgres.psql("postgres", "show server_version").strip(),
        "kafka_version": versions[0] if versions else None,
    }


def _stat(pid):
    """The fields of /proc/PID/stat behind the program's name; None for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def cpu_us(pid):
    """User and system time of a process, all its threads, ended ones too; in microseconds, to a tick (10 ms)."""
    stat = _stat(pid)
    return _TICK * (int(stat[11]) + int(stat[12])) if stat else 0


def tree_cpu_us(pid, without=()):
    """The same for a process, its children that have ended, and those that live, except `without`.

    For PostgreSQL: the postmaster waits for every backend, so that the time of an ended one is in the postmaster's
    cutime and cstime. Backends have no children.
    """
    stat = _stat(pid)
    if stat is None:
        return 0
    total = _TICK * sum(int(field) for field in stat[11:15])
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in without:
            child = _stat(entry.name)
            if child and int(child[1]) == pid:
                total += _TICK * (int(child[11]) + int(child[12]))
    return total


def busy_us():
    """CPU time of everything on this machine: all but idle, waiting for disks, and what the host took (steal)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:8]]
    return _TICK * (sum(fields) - fields[3] - fields[4])


def yardstick_us():
    """CPU time of always the same work (a JSON document is read), now: how fast the machine is beside all that it does."""
    document = json.dumps([{"sid": f"MM{n:032}", "body": "hello there " * 5, "numbers": [n, n + 1]} for n in range(200)])
    times = []
    for _ in range(15):
        begun = time.process_time_ns()
        json.loads(document)
        times.append(time.process_time_ns() - begun)
    return statistics.median(times) / 1000


def peak_rss_mib(pid):
    """The most memory that a process ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None
