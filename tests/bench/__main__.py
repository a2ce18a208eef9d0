#!/usr/bin/python3
"""`make bench`: how fast, how punctual, at what cost, and how near to what the parts allow. README.md explains it.

SCENARIO in the environment chooses (comma list; all but history, which takes minutes), WORKERS says how many (2), ATTEMPTS
how long a history. Status: 0 it ran and no send was early, whatever the goals say; 1 not; 2 wrong settings; 130 after Ctrl-C.
"""

import contextlib
import os
import shutil
import time

from harness import ROOT
from harness.program import Wrong, main

from . import report, scenarios
from .world import OUT, SCRATCH, Servers


def settings():
    """(names of scenarios, number of workers)"""
    names = [name for name in os.environ.get("SCENARIO", "").replace(",", " ").split()]
    names = names or [name for name in scenarios.ALL if name not in scenarios.ON_REQUEST]
    for name in names:
        if name not in scenarios.ALL:
            raise Wrong(f"SCENARIO={name}: expected some of {', '.join(scenarios.ALL)}")
    workers = os.environ.get("WORKERS") or "2"
    if not workers.isdigit() or not 1 <= int(workers) <= 32:
        raise Wrong(f"WORKERS={workers}: expected a number from 1 to 32")
    return names, int(workers)


@contextlib.contextmanager
def scratch():
    """The directory for data and logs; it is kept only when something went wrong."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    try:
        yield
    except Exception:
        print(f"bench: logs are kept in {SCRATCH.relative_to(ROOT) if SCRATCH.is_relative_to(ROOT) else SCRATCH}")
        raise
    except BaseException:
        shutil.rmtree(SCRATCH, ignore_errors=True)
        raise
    shutil.rmtree(SCRATCH, ignore_errors=True)


def announce(facts, workers):
    print(
        f"mms-worker bench: {workers} workers, PostgreSQL {facts['postgres_version']} (fsync on), Kafka"
        f" {facts['kafka_version']}, all on {facts['cores']} cores of {facts['cpu_model']},"
        f" {facts['memory_gib']} GiB, Linux {facts['kernel']}; load average before: {os.getloadavg()[0]:.2f}",
        flush=True,
    )


def run(names, workers):
    """Runs the scenarios; returns their results."""
    results = []
    with scratch(), contextlib.ExitStack() as stack:
        servers = Servers(stack)
        announce(servers.facts, workers)
        for name in names:
            begun = time.monotonic()
            print(f"\n{name}: {scenarios.ALL[name].__doc__.splitlines()[0]}", flush=True)
            found = scenarios.ALL[name](servers, workers)
            result = report.complete(name, workers, servers.facts, found)
            report.write(result)
            report.show(result, servers.facts)
            print(f"    ({time.monotonic() - begun:.0f} s)", flush=True)
            results.append(result)
    return results


def conclude(results):
    """The closing lines; returns the exit status."""
    missed = [f"{result['scenario']}.{key} = {value} (goal {goal})"
              for result in results for key, value, goal, verdict in report.judge(result) if verdict == "MISS"]
    early = sum(result["early"] for result in results)
    print("\ngoals missed: " + ("; ".join(missed) if missed else "none"))
    if early:
        print(f"FAILED: {early} sends were early")
    where = OUT.relative_to(ROOT) if OUT.is_relative_to(ROOT) else OUT
    print("results: " + " ".join(f"{where}/{result['scenario']}.json" for result in results))
    return 1 if early else 0


if __name__ == "__main__":
    main("bench", lambda: conclude(run(*settings())))
