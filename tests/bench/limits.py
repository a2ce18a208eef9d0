"""The limits, measured without workers, each alone on the machine; README.md says what each one is."""

import subprocess

from harness import BIN
from harness.process import clean_env

from .world import LATENCY_MS, new_system

SECONDS = 3.0  # of one round
ROUNDS = 3  # the median counts
CONNECTIONS = 2000  # of each process, as many as a worker has at most: 100 ms for each POST allow 20 000 a second
_DRAIN = 240_000  # deliveries that wait for the drain: enough for 24 000 a second


def _run(processes, *arguments):
    argv = [BIN / "mms-bench-limits", str(processes), str(SECONDS), str(ROUNDS), *map(str, arguments)]
    done = subprocess.run(argv, env=clean_env(), capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"mms-bench-limits: {done.stderr.strip()}")
    return float(done.stdout)


def http(system, workers):
    """POSTs a second to the system's simulator."""
    system.sim.latency(LATENCY_MS)
    return _run(workers, "http", system.sim.base_url, CONNECTIONS)


def kafka(system):
    """Events a second of the system's topic."""
    return _run(1, "kafka", system.kafka.bootstrap, system.events_topic)


def cycle(servers, destinations, workers):
    """Deliveries a second from intake to the mark of the published result."""
    with new_system(servers, "limit-cycle") as system:
        system.destinations(destinations)
        system.settle()
        return _run(workers, "sql", system.postgres.url(system.database), destinations, "cycle")


def drain(servers, destinations, workers):
    """The same without intake: what is claimed has been there before."""
    with new_system(servers, "limit-drain") as system:
        system.destinations(destinations)
        system.deliveries(destinations, max(8, _DRAIN // destinations))
        system.query("checkpoint")
        system.wake()
        return _run(workers, "sql", system.postgres.url(system.database), destinations, "drain")


def measure(servers, system, destinations, workers):
    """Keys for the report. The system's workers have been stopped."""
    system.settle()  # or else autovacuum and the checkpointer would still be at it
    system.query("checkpoint")
    return {
        "limit_kafka_per_s": round(kafka(system)),
        "limit_http_per_s": round(http(system, workers)),
        "limit_sql_per_s": round(cycle(servers, destinations, workers)),
    }


def share(measured, limits):
    """Keys for the report: which of {name: a second} is the slowest, and how near to it `measured` comes."""
    slowest = min(limits, key=limits.get)
    return {"slowest_limit": slowest, "share_of_limit": round(measured / limits[slowest], 3)}
