"""Samples of all that could grow: of the workers from /proc, of PostgreSQL from its catalogs, of the sends from the simulator."""

import math
import time
from collections import Counter
from pathlib import Path

from bench import machine
from bench.figures import ms, percentile

from .trend import Quantity

# In the table's order. Moved by less than `least` is not moved. The machine itself may become slower or faster, by a fifth in half an
# hour where it shares a host: CPU times are divided by how much it did. Descriptors are mostly connections to Twilio: as many as its slowest
# moments need, between 100 and 200. A leak of one in a thousand sends would be hundreds.
QUANTITIES = [
    Quantity("worker_rss_mib", "MiB", share=0.05, least=1),
    Quantity("worker_descriptors", "", share=0.25, least=10),
    Quantity("worker_threads", "", share=0.0, least=0.5),
    Quantity("postgres_connections", "", share=0.0, least=0.5),
    Quantity("yardstick_us", "us", share=math.inf, least=0),
    Quantity("sample_ms", "ms", share=math.inf, least=0),
    Quantity("worker_cpu_us_per_send", "us", share=0.15, least=10),
    Quantity("claims_per_send", "", share=0.15, least=0.05),
    Quantity("polls_per_send", "", share=0.15, least=0.05),
    Quantity("postgres_cpu_us_per_send", "us", share=0.15, least=50),
    Quantity("pacing_mib", "MiB", share=0.10, least=1),
    Quantity("queue_indexes_mib", "MiB", share=0.25, least=2),
    Quantity("bytes_per_delivery", "B", share=0.05, least=20),
    Quantity("bytes_per_attempt", "B", share=0.05, least=20),
    Quantity("dead_rows_percent", "%", share=0.25, least=2),
    Quantity("unfinished", "", share=0.10, least=50),
    Quantity("latency_p50_ms", "ms", share=0.15, least=3),
    Quantity("latency_p99_ms", "ms", share=0.25, least=30),
]

# Cheap, however much has been sent: a count by three states at once would read all of the table, and be a load that grows.
# Table, indexes and all. The queue's own indexes hold what is not done yet: they must not grow with the past.
_SIZES = """
    select pg_total_relation_size('mms.pacing') / 1048576.0 as pacing_mib,
           (select coalesce(sum(pg_relation_size(i.indexrelid)), 0) / 1048576.0
              from pg_index i where i.indrelid = 'mms.deliveries'::regclass and i.indpred is not null) as queue_indexes_mib,
           pg_total_relation_size('mms.deliveries') as deliveries, pg_total_relation_size('mms.attempts') as attempts,
           (select 100.0 * sum(n_dead_tup) / greatest(sum(n_live_tup + n_dead_tup), 1)
              from pg_stat_user_tables where schemaname = 'mms') as dead_rows_percent,
           (select count(*) from mms.deliveries where state = 'pending')
             + (select count(*) from mms.deliveries where state = 'sending')
             + (select count(*) from mms.deliveries where state = 'unknown') as unfinished,
           (select count(*) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend')
               as postgres_connections"""


def _status(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise RuntimeError(f"process {pid} has no {field}")


class Watch:
    """Collects. sends: a Sends; what it saw since the sample before is the latency of this one."""

    def __init__(self, system, sends):
        self.points = {quantity.name: [] for quantity in QUANTITIES}
        self._system = system
        self._sends = sends
        self._begun = time.monotonic()
        self._yardstick_us = machine.yardstick_us()
        self._used = self._use()
        self._counted = sends.count

    def _use(self):
        """What was used and done so far."""
        system = self._system
        return {
            "worker_cpu_us_per_send": sum(machine.cpu_us(worker.pid) for worker in system.workers),
            "postgres_cpu_us_per_send": machine.tree_cpu_us(system.postgres.pid, without=(system.own_backend,)),
            "claims_per_send": sum(worker.metric("mms_claims_total") for worker in system.workers),
            "polls_per_send": sum(worker.metric("mms_polls_total") for worker in system.workers),
        }

    def sample(self):
        """All of it, once. The workers' figure is the largest worker's."""
        at = time.monotonic() - self._begun
        pids = [worker.pid for worker in self._system.workers]
        sizes = {name: float(value) for name, value in self._system.query(_SIZES)[0].items()}
        delays = self._sends.read()
        sends, self._counted = self._sends.count - self._counted, self._sends.count
        before, self._used = self._used, self._use()
        used = {name: (self._used[name] - before[name]) / sends if sends else None for name in before}
        yardstick_us = machine.yardstick_us()
        for name in ("worker_cpu_us_per_send", "postgres_cpu_us_per_send"):
            used[name] = used[name] and used[name] * self._yardstick_us / yardstick_us
        # Rows by the producer's and the simulator's count: counting them in PostgreSQL would be a load of its own.
        values = {
            "sample_ms": ms(time.monotonic() - self._begun - at),
            "worker_rss_mib": max(_status(pid, "VmRSS:") for pid in pids) / 1024,
            "worker_descriptors": max(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
            "worker_threads": max(_status(pid, "Threads:") for pid in pids),
            "bytes_per_delivery": sizes.pop("deliveries") / max(1, self._sends.events),
            "bytes_per_attempt": sizes.pop("attempts") / max(1, self._sends.count),
            "latency_p50_ms": ms(percentile(delays, 0.5)),
            "latency_p99_ms": ms(percentile(delays, 0.99)),
            "yardstick_us": yardstick_us,
            **used,
            **sizes,
        }
        for name, value in values.items():
            self.points[name].append((at, value))

    def line(self):
        """The latest sample, for whoever looks on."""
        last = {name: points[-1][1] for name, points in self.points.items()}
        return (
            f"{self._sends.count} POSTs, {last['worker_rss_mib']:.1f} MiB, {last['worker_descriptors']:g} descriptors,"
            f" {last['unfinished']:g} unfinished, latency {last['latency_p50_ms']} ms (p99 {last['latency_p99_ms']})"
        )


class Sends:
    """What the simulator has seen, read page by page: a million requests at once would stop it for a while."""

    PAGE = 500

    def __init__(self, system, acked):
        self.count = 0  # POSTs
        self.seen = set()  # events that were sent once at least
        self._system = system
        self._acked = acked
        self._read = 0  # number of the last request that was read

    @property
    def events(self):
        return len(self.seen)

    def read(self):
        """Seconds from Kafka's acknowledgement to the first POST, of the events that came since the last reading."""
        delays = []
        while page := self._system.sim.requests(since=self._read, limit=self.PAGE):
            self._read = page[-1]["n"]
            for entry in page:
                if entry["method"] == "POST":
                    self._note(entry, delays)
        return delays

    def _note(self, entry, delays):
        event_id = entry["body"].partition(":")[0]
        self.count += 1
        if event_id not in self.seen:
            self.seen.add(event_id)
            # Kafka's word to the producer may come after the send.
            delays.append(max(0.0, entry["arrived_at"] - self._acked.get(event_id, entry["arrived_at"])))


def messages(system):
    """{event_id: how many messages there are at Twilio}, when all is done: a request's end comes after its arrival."""
    stored, read = Counter(), 0
    while page := system.sim.requests(since=read, limit=20_000):
        read = page[-1]["n"]
        stored.update(entry["body"].partition(":")[0] for entry in page if entry["method"] == "POST" and entry["sid"])
    return stored
