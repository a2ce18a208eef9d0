"""A database, topics and a simulator, on which workers die one after the other, each of one allocation."""

from dataclasses import dataclass
from types import SimpleNamespace

from chaos import checks, facts
from chaos.plan import SECRET
from chaos.settle import wait_settled
from harness.client import Client
from harness.failing import FailingCalls
from harness.fleet import GROUP
from harness.process import free_port
from harness.system import ACCOUNT, System
from harness.wait import TimedOut, until

LAST_WORDS = "mms-worker: out of memory"
# A worker takes the place of the one before in its group at once.
_GROUP = {**GROUP, "kafka_group_instance_id": "lane"}
_HEALTHY = {
    "lease": "11s", "twilio_timeout": "1s", "reconcile_delay": "2s", "status_poll_delay": "1s",
    "status_poll_rate": "200",
}
# What dead workers had in hand, as if their leases had run out.
_TIME_FLIES = """
    update mms.deliveries set lease_until = clock_timestamp() where state = 'sending';
    update mms.deliveries set lookup_at = least(lookup_at, clock_timestamp()), lookup_lease = null where state = 'unknown'"""
_LATEST = """
    select d.state, a.attempt, a.published_at is not null as published,
           (select bool_and(s.published_at is not null) from mms.message_statuses s
             where s.destination_id = d.destination_id and s.delivery_id = d.id and s.final) as told
      from mms.deliveries d
      left join mms.attempts a on a.destination_id = d.destination_id and a.delivery_id = d.id
     where d.event_id = %s
     order by a.attempt desc nulls last limit 1"""
# How far an event can have come when its worker ends.
STAGES = (
    "not taken in", "taken in", "claimed", "posted", "unknown", "evidence written", "result published", "status stored",
    "status published",
)


@dataclass
class Point:
    """What came of one failing allocation: 'ended cleanly', 'not reached', or what is wrong."""

    number: int
    came: str
    stage: str = ""
    wrong: bool = True


def judge_end(status, said):
    """(what came, whether it is wrong) of a process whose allocation failed: `said` is its stderr, without the log."""
    if status == 1 and said == [LAST_WORDS]:
        return "ended cleanly", False
    return f"ended with {status}, saying {said[-3:]}", True


class _Kafka(Client):
    """A broker that somebody else runs: each thread has a client of its own."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap


class Lane:
    """name: unique among the lanes of a run. A context manager."""

    def __init__(self, name, postgres, kafka, directory, journey):
        self.journey = journey
        self.calls = FailingCalls(name)
        self.worker = None
        self._events = []
        self._port = free_port()
        topics = [f"{name}.{kind}" for kind in ("events", "results", "dead-letters")]
        for topic in topics:
            kafka.create_topic(topic, 1)
        self.system = System(postgres, _Kafka(kafka.bootstrap), directory / name, topics)
        self.system.sim.life(*journey.life, callbacks="withheld")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.system.close()
        self.calls.close()

    # ---- workers ----

    def _start(self, settings, under=()):
        listen = f"127.0.0.1:{self._port}"
        callbacks = {"callback_listen": listen, "status_callback_url": f"http://{listen}/twilio/status"}
        self.worker = self.system.worker(under, **_GROUP, **callbacks, **settings)
        return self.worker

    def wait(self, predicate, what, timeout=40):
        """For what a living worker does."""

        def look():
            assert self.worker.alive, f"the worker ended with {self.worker.returncode}: {self.worker.log_tail()}"
            return predicate()

        until(look, timeout, what)

    def _is_idle(self):
        """All is taken in, and what the worker before hadn't claimed is sent."""
        states = self.system.states()
        return sum(states.values()) == len(self._events) and "pending" not in states

    # ---- events ----

    def _new_event(self):
        number = len(self._events)
        event = {"event_id": f"e{number}", "destination_id": f"d{number}", "to": f"+1555{number:07}", "body": f"e{number}: hello"}
        auth = {"account_sid": ACCOUNT, "auth_token": SECRET}
        self.system.destination(event["destination_id"], to=event["to"], auth=auth)
        self._events.append(event)
        return event

    def _stage(self, event):
        rows = self.system.query(_LATEST, event["event_id"])
        if not rows:
            return "not taken in"
        state, attempt, published, told = rows[0].values()
        if state == "sending":
            return "posted" if len(self.system.sim.posts(to=event["to"])) > (attempt or 0) else "claimed"
        if state == "accepted" and told is not None:
            return "status published" if told else "status stored"
        if state == "accepted":
            return "result published" if published else "evidence written"
        return "taken in" if state == "pending" else state

    # ---- points ----

    def allocations(self):
        """How many a journey takes; rather of one that meets no statistics of librdkafka's."""
        return min(self._allocations() for _ in range(2))

    def _allocations(self):
        point = self.point(0)
        assert not point.wrong, point
        return self.calls.allocations

    def point(self, number):
        """A journey whose allocation of that number fails, counted from its beginning."""
        worker = self._start(self.journey.settings, self.calls.under).wait_ready()
        self.wait(self._is_idle, "what the worker before has left")
        event = self._new_event()
        self.journey.prepare(self, event)
        self.calls.count(fail_at=number)
        self.journey.begin(self, event)
        return self._finish(worker, Point(number, ""), lambda: self.journey.is_done(self, event), event)

    def start_allocations(self):
        point = self.start_point(0)
        assert not point.wrong, point
        return self.calls.allocations

    def start_point(self, number):
        """The same for the start of a worker, until it has its partition."""
        self.calls.count(fail_at=number)
        worker = self._start(self.journey.settings, self.calls.under)
        return self._finish(worker, Point(number, ""), lambda: worker.log_lines("partitions assigned"), None)

    def _finish(self, worker, point, is_done, event):
        """Waits for the worker's end, or for that of its journey, and judges it."""
        try:
            until(lambda: not worker.alive or self.calls.failed or is_done(), 40, "an end")
            self.calls.stop_counting()
            status = worker.wait(10) if self.calls.failed else worker.stop()
        except TimedOut:
            worker.kill()
            point.came = "went on as if it hadn't failed" if self.calls.failed else "has come to no end"
            return point
        point.stage = self._stage(event) if event else ""
        if self.calls.failed:
            said = [line for line in worker.log_text().splitlines() if not line.startswith("{")]
            point.came, point.wrong = judge_end(status, said)
        else:
            point.came, point.wrong = ("not reached", False) if status == 0 else judge_end(status, [worker.log_tail()])
        if event and self._has_lost_offset():
            point.came, point.wrong = "committed an offset whose event is not in PostgreSQL", True
        return point

    def _has_lost_offset(self):
        committed = self.system.kafka.committed("g-" + self.system.database, self.system.events_topic)
        return sum(committed.values()) > self.system.value("select count(*) from mms.deliveries")

    # ---- the end ----

    def heal(self):
        """A healthy worker brings everything to its end. Returns what is wrong then: chaos.checks.Complaint."""
        worker = self._start(_HEALTHY).wait_ready()
        self.system.query(_TIME_FLIES)
        workers = SimpleNamespace(running=[worker], name=lambda _: "the healthy worker", look=lambda: None, measure=lambda: None)
        decided = SimpleNamespace(
            events=self._events, expected=lambda: self._events, bad_keys=set(), scale=SimpleNamespace(settle=120)
        )
        wait_settled(self.system, decided, workers, lambda text: None)
        complaints = checks.check_all(facts.gather(self.system, decided, set()))
        status = worker.stop()
        return complaints + ([checks.Complaint("status", f"the healthy worker ended with {status}")] if status else [])
