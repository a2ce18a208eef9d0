"""One hostile load beside destinations that behave: what these notice, and what it costs."""

import contextlib
import itertools
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from harness.kafka import Kafka
from harness.postgres import Postgres
from harness.system import System, config
from harness.wait import until

PARTITIONS = 2  # few: whoever behaves has the flood in front of it
GOOD = 20
LATENCY_MS = 50
_MAX_MESSAGE = 8 << 20


@dataclass(frozen=True)
class Size:
    """calm: seconds before the flood; events: of each that behaves; busy: at least so many seconds with the flood."""

    calm: float
    events: int
    busy: float
    limit: float  # seconds till the flood must be digested


FULL = Size(calm=10, events=600, busy=10, limit=900)
SHORT = Size(calm=4, events=40, busy=4, limit=60)


@contextlib.contextmanager
def servers(directory):
    """PostgreSQL (fsync on) and Apache Kafka, both at the same time."""
    postgres, kafka = Postgres(directory / "postgres", {"max_wal_size": "4GB"}, fsync=True), Kafka(directory / "kafka")
    with contextlib.ExitStack() as stack:
        stack.callback(kafka.close)
        stack.callback(postgres.close)
        with ThreadPoolExecutor(2) as pool:
            for started in [pool.submit(server.start) for server in (postgres, kafka)]:
                started.result()
        yield postgres, kafka


class LimitsSystem(System):
    """A System with the destinations good0, … and mark0, …, and a way to write many others."""

    def __init__(self, postgres, kafka, directory, name):
        topics = [f"mms.{kind}.{name}.{time.time_ns() % 10**9}" for kind in ("events", "results", "dead-letters")]
        for topic, partitions in zip(topics, (PARTITIONS, 3, 1)):
            kafka.create_topic(topic, partitions, {"max.message.bytes": _MAX_MESSAGE})
        super().__init__(postgres, kafka, directory, topics)
        self.sim.latency(LATENCY_MS)
        self.destinations("good", GOOD)
        self.destinations("mark", PARTITIONS)

    def destinations(self, prefix, count, **changes):
        """Each with a phone of its own."""
        first = {"good": 1_000_000, "mark": 2_000_000}.get(prefix, 3_000_000 + self.value("select count(*) from mms.destinations"))
        self.query(
            "insert into mms.destinations (id, name, config)"
            " select %s || n, %s, jsonb_set(%s, '{to}', to_jsonb('+1555' || (%s + n)))"
            "   from generate_series(0, %s) n",
            prefix, prefix, json.dumps(config(**{"body_template": "{{event_id}}", **changes})), first, count - 1,
        )  # fmt: skip

    def huge_destinations(self, prefix, count, body_template):
        """Rows as somebody would write them who may do anything."""
        self.query("alter table mms.destinations drop constraint if exists destinations_config_size")
        self.destinations(prefix, count, body_template=body_template)

    def taken_in(self, worker, records):
        """Whether so many records were read and stored."""
        return worker.metric("mms_events_read_total") >= records and worker.metric("mms_intake_events_in_hand") == 0


# ---- what is measured ----


def peak_mib(pid):
    return _status(pid, "VmHWM:")


def _status(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return None


def forget_peak(pid):
    """The peak counts from now on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def pace(system, begin, end):
    """Of the good destinations, between two moments of the database's clock: slots used, lateness in ms, least gap."""
    rows = system.query(
        "select destination_id, extract(epoch from started_at)::float8 as at,"
        "       1000 * extract(epoch from started_at - slot_at)::float8 as late"
        "  from mms.attempts where destination_id like 'good%%' and started_at between %s and %s"
        " order by 1, 2", begin, end,
    )  # fmt: skip
    used = offered = 0.0
    for _, group in itertools.groupby(rows, lambda row: row["destination_id"]):
        times = [row["at"] for row in group]
        used += len(times) - 1
        offered += times[-1] - times[0]
    late = sorted(row["late"] for row in rows)
    return {
        "sends": len(rows),
        "slots_used": used / offered if offered else None,
        "late_ms": statistics.median(late) if late else None,
        "late_p99_ms": late[int(0.99 * (len(late) - 1))] if late else None,
    }


def disk(system):
    """Bytes of each table with its TOAST, of its indexes, and of WAL written so far."""
    rows = system.query(
        "select c.relname as name, pg_table_size(c.oid) as heap, pg_indexes_size(c.oid) as indexes"
        "  from pg_class c where c.relnamespace = 'mms'::regnamespace and c.relkind = 'r'"
    )
    found = {f"{row['name']}.{part}": int(row[part]) for row in rows for part in ("heap", "indexes")}
    found["wal"] = int(system.value("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"))
    return found


def now(system):
    return system.value("select clock_timestamp()")


# ---- a run ----


class Flood:
    """Produces records to all partitions in turn, and a marker behind them in each.

    As one transaction: nobody sees any of them before they are all there. What they cost is measured then, without
    what it costs to produce them.
    """

    def __init__(self, system, records):
        self.count = self.bytes = 0
        self._system = system
        self._records = records
        self._producer = Producer(
            {"bootstrap.servers": system.kafka.bootstrap, "message.max.bytes": _MAX_MESSAGE, "linger.ms": 5,
             "queue.buffering.max.kbytes": 200_000, "transactional.id": system.database, "transaction.timeout.ms": 600_000}
        )  # fmt: skip

    def pour(self):
        self._producer.init_transactions(30)
        self._producer.begin_transaction()
        for key, value, headers in self._records:
            self._one(self.count % PARTITIONS, value, key, headers)
            self.count += 1
            self.bytes += len(value or b"") + len(key or b"")
        for partition in range(PARTITIONS):
            marker = self._system.event(f"mark-{partition}", f"mark{partition}")
            self._one(partition, json.dumps(marker), None, None)
        self._producer.flush(300)

    def open(self):
        self._producer.commit_transaction(120)

    def _one(self, partition, value, key, headers):
        while True:
            try:
                self._producer.produce(self._system.events_topic, value, key, partition, headers=headers or [])
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.05)


def start(system, size, **settings):
    """A worker with the good destinations' events taken in."""
    events = [system.event(f"good{d}-{n}", f"good{d}") for n in range(size.events) for d in range(GOOD)]
    worker = system.worker(**settings)
    worker.wait_ready()
    system.produce_many(events)
    until(lambda: system.taken_in(worker, len(events)), 60, "the good events to be taken in", interval=0.1)
    return worker, len(events)


def hold(seconds):
    """Lets a load go on for a while: it is what is measured, not waited for."""
    time.sleep(max(0.0, seconds))


def is_published(system):
    """Whether nothing that was rejected waits for its dead letter."""
    return not system.value("select exists (select 1 from mms.rejected_events where published_at is null)")


def run(system, load, count, size):
    """Figures of one load."""
    records = load.make(system, count)
    first = next(records)  # its destinations are there now
    worker, before = start(system, size)
    figures = {"records": count, "crowd": load.crowd}
    forget_peak(worker.pid)
    calm_begin = now(system)
    hold(size.calm)
    calm_end = now(system)
    figures["calm_peak_mib"] = peak_mib(worker.pid)

    flood = Flood(system, itertools.chain([first], records))
    flood.pour()
    forget_peak(worker.pid)
    sizes = disk(system)
    begun = time.monotonic()
    busy_begin = now(system)
    flood.open()
    until(lambda: system.taken_in(worker, before + flood.count + PARTITIONS), size.limit, "the flood to be taken in", interval=0.1)
    taken = time.monotonic()
    until(lambda: is_published(system), size.limit, "the dead letters", interval=0.25)
    published = time.monotonic()
    until(lambda: system.sim.posts(to="+15552000001"), size.limit, "what was behind the flood", interval=0.25)
    hold(begun + size.busy - time.monotonic())
    busy_end = now(system)
    figures.update(
        bytes=flood.bytes, intake_s=taken - begun, intake_per_s=flood.count / (taken - begun),
        published_s=published - begun, peak_mib=peak_mib(worker.pid),
        behind_s=max(post["arrived_at"] for post in system.sim.posts() if post["body"].startswith("mark-")) - _epoch(busy_begin),
        min_gap_ms=min(entry["min_gap_ms"] for to, entry in system.sim.gaps().items() if entry["count"] > 1),
    )  # fmt: skip
    figures["calm"] = pace(system, calm_begin, calm_end)
    figures["busy"] = pace(system, busy_begin, busy_end)
    figures["disk"] = {name: after - sizes.get(name, 0) for name, after in disk(system).items()}
    figures["ready"] = worker.get("/readyz")[0]
    figures["became"] = {
        "rejected": system.value("select count(*) from mms.rejected_events"),
        "taken": system.value("select count(*) from mms.deliveries where destination_id !~ '^(good|mark)'"),
    }
    return figures


def _epoch(moment):
    return moment.timestamp()
