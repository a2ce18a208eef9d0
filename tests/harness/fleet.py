"""Several workers and a load on several destinations, and what has to be true of it in the end."""

import statistics
from itertools import pairwise

from .wait import until

PARTITIONS = 12
# A member that was stopped or killed leaves its group soon, and the others notice soon.
GROUP = {"kafka_session_timeout_ms": 6000, "kafka_heartbeat_interval_ms": 300}
# What a lost worker had in its hands is taken over and looked up soon, and tried again soon.
RECONCILE = {
    "twilio_timeout": "2s",
    "lease": "12s",
    "reconcile_delay": "4s",
    "retry_base": "100ms",
    "retry_max": "200ms",
}

_EVIDENCE_GAPS = """
    select destination_id, min(gap) as min_gap, count(*) filter (where gap < interval '1 s') as early
      from (select destination_id, started_at - lag(started_at) over (partition by destination_id order by started_at) as gap
              from mms.attempts) g
     group by 1"""


class Fleet:
    """Destinations d0, d1, … of a System, each with a To of its own.

    detour  requests reach the simulator by a way that delays some of them: the pace is read from the evidence
    """

    def __init__(self, system, destinations=4, detour=False):
        self.system = system
        self.detour = detour
        self.numbers = {f"d{n}": f"+1555777{n:04}" for n in range(destinations)}
        self.produced = []  # event ids
        for destination_id, number in self.numbers.items():
            system.destination(destination_id, to=number)

    def start(self, count, under=(), **settings):
        """Starts so many workers more, and waits until every running one has partitions."""
        started = [self.system.worker(under, **{**GROUP, **settings}) for _ in range(count)]
        until(self._shared_out, 30, "the partitions to be shared out")
        return started

    def _shared_out(self):
        counts = [worker.partitions() for worker in self.system.workers if worker.alive]
        return sum(counts) == PARTITIONS and all(counts)

    def produce(self, each):
        """So many events more for every destination, one after the other over all partitions."""
        begin = len(self.produced) // len(self.numbers)
        batches = [[] for _ in range(PARTITIONS)]
        for n in range(begin, begin + each):
            for place, destination_id in enumerate(self.numbers):
                event = self.system.event(f"{destination_id}-{n}", destination_id)
                batches[(n + place) % PARTITIONS].append(event)
                self.produced.append(event["event_id"])
        for partition, events in enumerate(batches):
            if events:
                self.system.produce_many(events, partition=partition)

    def wait_sent(self, count, timeout=60):
        """Waits until Twilio has so many messages in all."""
        sim = self.system.sim
        until(lambda: sim.stats()["messages"] >= count, timeout, lambda: f"{count} messages; {self.system.states()}")

    def wait_accepted(self, timeout=60):
        """Waits until everything is sent, and checks it."""
        self.system.wait_states(accepted=len(self.produced), timeout=timeout)
        self.check()

    def check(self):
        """Promise 3, and all of check_events()."""
        gaps = self.system.query(_EVIDENCE_GAPS) if self.detour else list(self.system.sim.gaps().values())
        assert all(entry["early"] == 0 for entry in gaps), gaps
        self.check_events()

    def check_events(self):
        """No event sent twice or left out, no destination overlooked."""
        posts = self.system.sim.posts()
        bodies = [post["body"].removesuffix(": hello") for post in posts]
        assert len(bodies) == len(set(bodies)), "sent twice"
        assert set(bodies) == set(self.produced)
        assert self.system.overlooked() == []

    def gaps(self, destination_id):
        """Seconds between the starts of a destination's sends."""
        arrivals = [post["arrived_at"] for post in self.system.sim.posts(to=self.numbers[destination_id])]
        return [after - before for before, after in pairwise(arrivals)]

    def check_busy(self):
        """Promise 4, as far as a noisy machine can show it: a destination with a backlog uses its slots."""
        for destination_id in self.numbers:
            gaps = self.gaps(destination_id)
            assert statistics.median(gaps) < 1.2, (destination_id, gaps)
