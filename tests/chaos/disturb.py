"""Carries the disturbances of a plan out."""

import contextlib
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from .world import AWAY

_SESSIONS = """
    select pid from pg_stat_activity
     where datname = current_database() and application_name like 'mms-worker%%' order by backend_start, pid"""


# Whether a worker has something in its hands that a stop would hurt: claimed and not sent, or sent and not answered.
_CLAIMED = """
    select 1 from mms.deliveries
     where state = 'sending' and leased_by = %s and slot_at > clock_timestamp() + interval '15 ms' limit 1"""
_SENDING = """
    select 1 from mms.deliveries
     where state = 'sending' and leased_by = %s
       and slot_at between clock_timestamp() - interval '60 ms' and clock_timestamp() - interval '5 ms' limit 1"""
_MOMENT = 1.0  # seconds, for such a moment to come


class Disturber:
    """Workers are seen to here and now; each server has a thread, in which one thing happens after the other."""

    def __init__(self, system, workers, say):
        self._system = system
        self._workers = workers
        self._say = say
        self._ended = threading.Event()
        self._threads = {name: ThreadPoolExecutor(1) for name in ("postgres", "kafka")}
        self._under_way = []
        self.counts = Counter()

    def begin(self, disturbance):
        kind = disturbance.kind
        if kind.startswith("postgres-"):
            self._submit("postgres", self._restart_postgres, disturbance)
        elif kind.startswith("kafka-"):
            self._submit("kafka", self._restart_kafka, disturbance)
        elif kind == "cut":
            self._submit("postgres", self._cut, disturbance)
        else:
            self._disturb_workers(disturbance)

    @property
    def busy(self):
        """Whether a server is still away. Raises what has gone wrong with one."""
        for future in [future for future in self._under_way if future.done()]:
            self._under_way.remove(future)
            future.result()
        if self._under_way:
            self._workers.servers_away_at = time.monotonic()
        return bool(self._under_way)

    def close(self):
        """Waits for what is under way: nothing may start a server behind our back."""
        self._ended.set()
        for thread in self._threads.values():
            thread.shutdown(wait=True, cancel_futures=True)

    def _submit(self, server, work, disturbance):
        self._under_way.append(self._threads[server].submit(work, disturbance))
        self._workers.servers_away_at = time.monotonic()

    # ---- workers ----

    def _disturb_workers(self, disturbance):
        workers, kind = self._workers, disturbance.kind
        if kind == "scale":
            by_kill = disturbance.pick < 0.3
            self._say(f"scale from {len(workers.running)} to {disturbance.count}{' by SIGKILL' if by_kill else ''}")
            workers.scale(disturbance.count, by_kill)
            self.counts[kind] += 1
            return
        worker = workers.choose(disturbance.pick)
        name = workers.name(worker)
        if kind != "stop":
            self._wait_for(worker, _CLAIMED if disturbance.count % 2 else _SENDING)
        if kind == "kill":
            workers.kill(worker)
            self._say(f"SIGKILL {name}; {workers.name(workers.start())} is new")
        elif kind == "stop":
            workers.stop(worker)
            self._say(f"SIGTERM {name}; {workers.name(workers.start())} is new")
        else:
            workers.freeze(worker, disturbance.seconds)
            self._say(f"SIGSTOP {name} for {disturbance.seconds:.1f} s")
        self.counts[kind] += 1

    def _wait_for(self, worker, moment):
        """Waits for a bad moment, if one comes soon and the database can tell."""
        deadline = time.monotonic() + _MOMENT
        while time.monotonic() < deadline and self._system.query_now(moment, worker.id) == []:
            time.sleep(0.002)

    # ---- servers ----

    def _restart_postgres(self, disturbance):
        postgres, mode = self._system.postgres, disturbance.kind.removeprefix("postgres-")
        self._say(f"PostgreSQL: {mode} shutdown, away for {disturbance.seconds:.1f} s and its start")
        postgres.stop(mode, timeout=60)
        self._ended.wait(disturbance.seconds)
        postgres.start(timeout=120)
        self._say("PostgreSQL is back")
        self.counts[disturbance.kind] += 1

    def _restart_kafka(self, disturbance):
        kafka, mode = self._system.kafka, disturbance.kind.removeprefix("kafka-")
        self._say(f"Kafka: {mode}, away for {disturbance.seconds:.1f} s and its start")
        if mode == "kill":
            kafka.kill()
        else:
            kafka.stop()
        self._ended.wait(disturbance.seconds)
        kafka.start(timeout=120)
        self._say("Kafka is back")
        self.counts[disturbance.kind] += 1

    def _cut(self, disturbance):
        """Ends sessions of workers, as a firewall or an operator would."""
        try:
            with contextlib.closing(self._system.postgres.connect(self._system.database)) as connection:
                cursor = connection.cursor()
                cursor.execute(_SESSIONS)
                sessions = [pid for (pid,) in cursor.fetchall()]
                first = int(disturbance.pick * len(sessions))
                chosen = (sessions[first:] + sessions[:first])[: disturbance.count]
                for pid in chosen:
                    cursor.execute("select pg_terminate_backend(%s)", (pid,))
        except AWAY as error:  # a server that has just come back may be short of breath
            self._say(f"nothing cut: {error}")
            return
        self._say(f"cut {len(chosen)} of {len(sessions)} connections to PostgreSQL")
        self.counts["cut"] += 1
        self.counts["connections cut"] += len(chosen)
