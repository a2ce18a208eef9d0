"""Servers and systems to measure: PostgreSQL, Kafka, the simulator and workers, set as a user would have them."""

import contextlib
import json
import os
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass

from harness import BUILD
from harness.kafka import Kafka, libs
from harness.postgres import Postgres
from harness.system import OWL, System, config
from harness.wait import until

from . import machine, statements

OUT = BUILD / "bench"
SCRATCH = OUT / "scratch"  # logs and data; removed at the end
LATENCY_MS = 100  # of the simulator's answers

POSTGRES = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "wal_compression": "lz4",
    "checkpoint_timeout": "15min",
    "random_page_cost": 1.1,
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_planning": "on",
}


class Servers:
    """One PostgreSQL and one Kafka for all scenarios; each scenario has its own database, topics and simulator."""

    def __init__(self, stack):
        self.postgres = stack.enter_context(Postgres(SCRATCH / "postgres", POSTGRES, fsync=True))
        self.kafka = stack.enter_context(Kafka(SCRATCH / "kafka"))
        self.facts = machine.facts(self.postgres, libs())


def destination(number):
    return f"des_{number:05}"


def phone(number):
    return f"+1555{1000000 + number}"


def event(event_id, number):
    """An event for a destination, as bytes to produce; about 250 bytes."""
    return json.dumps(
        {
            "event_id": event_id,
            "destination_id": destination(number),
            "connection_id": "con_bench",
            "occurred_at": "2026-01-31T12:00:00Z",
            "payload": {"message": "Your order has left our house and will be with you tomorrow.", "order": 4711},
        }
    )


# The same as event(), made by PostgreSQL: $1 and $2 are SQL for the event's id and the destination's.
_EVENT_SQL = (
    "json_build_object('event_id', {0}, 'destination_id', {1}, 'connection_id', 'con_bench', 'occurred_at',"
    " '2026-01-31T12:00:00Z', 'payload', json_build_object('message',"
    " 'Your order has left our house and will be with you tomorrow.', 'order', 4711))"
)


@dataclass
class Sample:
    """What has been used and asked so far. CPU times in microseconds."""

    at: float  # seconds since 1970
    worker: int
    postgres: int
    sim: int
    kafka: int
    machine: int  # everything, the bench itself and strangers too
    transactions: int
    statements: dict

    def __sub__(self, before):
        numbers = {
            name: getattr(self, name) - getattr(before, name)
            for name in ("at", "worker", "postgres", "sim", "kafka", "machine", "transactions")
        }
        return Sample(statements=statements.difference(self.statements, before.statements), **numbers)

    @property
    def seconds(self):
        """Of a difference."""
        return self.at

    @property
    def ours(self):
        """CPU time of all parts of the system."""
        return self.worker + self.postgres + self.sim + self.kafka

    @property
    def others_percent(self):
        """How much of the machine's cores went to others, the bench among them: a run is disturbed if it is much."""
        others = max(0, self.machine - self.ours)
        return round(100 * others / (self.seconds * 1e6 * len(os.sched_getaffinity(0))), 1)

    @property
    def queries(self):
        return sum(count.calls for count in self.statements.values())


class BenchSystem(System):
    """A System with a simulator that answers as slowly as Twilio."""

    def __init__(self, servers, name):
        unique = f"{name}.{uuid.uuid4().hex[:8]}"
        topics = [f"mms.{kind}.{unique}" for kind in ("events", "results", "dead-letters")]
        for topic, partitions in zip(topics, (12, 12, 1)):
            servers.kafka.create_topic(topic, partitions)
        super().__init__(servers.postgres, servers.kafka, SCRATCH / unique, topics)
        self._posts = []  # what has been read of the simulator's log
        self.sim.latency(LATENCY_MS)
        self.query("create extension pg_stat_statements")
        self.own_backend = self.value("select pg_backend_pid()")

    def start_workers(self, count, **settings):
        for _ in range(count):
            self.worker(**settings)
        for worker in self.workers:
            worker.wait_ready()

    def stop_workers(self):
        """All must end well."""
        statuses = [worker.stop(timeout=90) for worker in self.workers]
        if any(statuses):
            raise RuntimeError(f"exit statuses of the workers: {statuses}; logs in {self.directory}")

    # ---- data ----

    def destinations(self, count, first=0):
        """Makes des_00000, … each with a phone of its own."""
        self.query(
            "insert into mms.destinations (id, name, config)"
            " select 'des_' || to_char(n, 'FM00000'), 'destination ' || n,"
            "        jsonb_set(%s, '{to}', to_jsonb('+1555' || 1000000 + n))"
            "   from generate_series(%s, %s) n",
            json.dumps(config(media_urls=[OWL])), first, first + count - 1,
        )

    def deliveries(self, destinations, each, next_attempt_at="clock_timestamp()", tag="sql", first=0, chunk=100_000):
        """Writes `each` pending deliveries for the first `destinations` destinations; wakes nobody."""
        total = destinations * each
        made = _EVENT_SQL.format(f"'{tag}-' || n", "'des_' || to_char(%(first)s + n %% %(count)s, 'FM00000')")
        for begin in range(0, total, chunk):
            self.db.cursor().execute(
                "insert into mms.deliveries (destination_id, event_id, connection_id, event, source_topic,"
                " source_partition, source_offset, next_attempt_at)"
                f" select 'des_' || to_char(%(first)s + n %% %(count)s, 'FM00000'), '{tag}-' || n, 'con_bench', {made},"
                f" 'bench', 0, n, {next_attempt_at} from generate_series(%(begin)s, %(end)s) n",
                {"first": first, "count": destinations, "begin": begin, "end": min(begin + chunk, total) - 1},
            )
        self.settle()

    def wake(self, due_at="clock_timestamp()", where="true"):
        """Makes destinations due."""
        self.query(f"update mms.pacing set due_at = {due_at} where {where}")

    def settle(self):
        """What autovacuum would have done by and by."""
        self.query("vacuum (analyze) mms.destinations, mms.pacing, mms.deliveries, mms.attempts")

    # ---- measuring ----

    def sample(self):
        """CPU times first: they are what hurts most when it comes late."""
        at = time.time()
        cpu = {
            "worker": sum(machine.cpu_us(worker.pid) for worker in self.workers),
            "postgres": machine.tree_cpu_us(self.postgres.pid, without=(self.own_backend,)),
            "sim": machine.cpu_us(self.sim.process.pid),
            "kafka": machine.cpu_us(self.kafka.pid),
            "machine": machine.busy_us(),
        }
        transactions = self.value("select xact_commit from pg_stat_database where datname = current_database()")
        return Sample(at=at, transactions=transactions, statements=statements.read(self), **cpu)

    def worker_rss_mib(self):
        return max(machine.peak_rss_mib(worker.pid) for worker in self.workers)

    def wait_sent(self, count, timeout):
        """Until the simulator has had so many requests; asked seldom, for it shares the machine."""
        until(lambda: self.sim.stats()["requests"] >= count, timeout, f"{count} POSTs", interval=0.25)

    def posts(self):
        """Every POST so far."""
        while page := self.sim.requests(since=len(self._posts), limit=20000):
            self._posts += [(entry["body"].partition(":")[0], entry["to"], entry["arrived_at"]) for entry in page]
        return Posts(self._posts)

    def slots(self):
        """{event_id: moment of the slot that its attempt was given}"""
        rows = self.query(
            "select d.event_id, extract(epoch from a.slot_at)::float8 as slot_at from mms.attempts a"
            " join mms.deliveries d on d.destination_id = a.destination_id and d.id = a.delivery_id"
        )
        return {row["event_id"]: row["slot_at"] for row in rows}


class Posts:
    """What the simulator saw: the kernel's receive time of each POST's first byte."""

    def __init__(self, entries):
        self.at = {event_id: at for event_id, _, at in entries}
        self.times = sorted(at for _, _, at in entries)
        self.by_phone = defaultdict(list)
        for _, to, at in entries:
            self.by_phone[to].append(at)
        if len(self.at) != len(entries):
            raise RuntimeError(f"{len(entries) - len(self.at)} events were sent twice")


@contextlib.contextmanager
def new_system(servers, name):
    with BenchSystem(servers, name) as system:
        yield system
