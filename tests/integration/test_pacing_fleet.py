"""The pace with many workers: they come, go, die, are stopped for a while, and disagree about the time."""

import contextlib
import random
import signal
import socket
import struct
import threading
import time
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness import Unavailable
from harness.faketime import FakeTime
from harness.fleet import GROUP, RECONCILE, Fleet
from harness.wait import until

SO_TIMESTAMPNS = 35  # Linux; Python has no name for it

# A dead worker's deliveries are taken over soon.
SHORT_LEASE = {**GROUP, **RECONCILE}


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_the_pace_with_so_many_workers(system, workers):
    """Several destinations, the events of each in all partitions: each sent once, never early, hardly ever idle."""
    fleet = Fleet(system)
    fleet.start(workers)
    fleet.produce(each=12)
    fleet.wait_accepted()
    fleet.check_busy()


def kill_while_sending(system):
    """Kills (SIGKILL) a worker whose request has left, and whose answer has not come."""
    sql = """select leased_by from mms.deliveries where state = 'sending'
                and slot_at between clock_timestamp() - interval '400 ms' and clock_timestamp() - interval '50 ms'"""
    workers = {worker.id: worker for worker in system.workers if worker.alive}

    def sending():
        return next((workers[row["leased_by"]] for row in system.query(sql) if row["leased_by"] in workers), None)

    until(sending, 30, "a worker that sends", interval=0.005).kill()


def test_workers_come_and_go(system):
    """Started, stopped and killed under load. What killed ones had in their hands is looked up; nothing is sent twice."""
    fleet = Fleet(system)
    system.sim.latency(600)  # most of the time each destination has a send under way
    first, _ = fleet.start(2, **SHORT_LEASE)
    fleet.produce(each=10)
    fleet.wait_sent(6)
    system.worker(**SHORT_LEASE)
    fleet.wait_sent(14)
    assert first.stop(timeout=30) == 0
    fleet.wait_sent(20)
    kill_while_sending(system)
    fleet.produce(each=6)
    fleet.wait_sent(28)
    fourth = system.worker(**SHORT_LEASE)
    fleet.wait_sent(36)
    system.worker(**SHORT_LEASE)
    kill_while_sending(system)
    fleet.wait_sent(42)
    if fourth.alive:
        assert fourth.stop(timeout=30) == 0
    fleet.wait_accepted(timeout=90)
    assert system.value("select count(*) from mms.attempts where resolution is not null") > 0, "nothing was lost"


# ---- clocks ----

def have_sent(fleet):
    """The workers that have sent something; as long as one has not, there is more to do."""
    fleet.wait_sent(len(fleet.produced))
    fleet.produce(each=1)
    return {row["worker"] for row in fleet.system.query("select distinct worker from mms.attempts")}


@pytest.fixture
def faketime():
    try:
        with FakeTime() as faketime:
            yield faketime
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_clocks_set_apart(faketime, system):
    """Two workers' clocks are an hour off, one's is a bit fast: slots and evidence follow the database's clock."""
    fleet = Fleet(system, destinations=12)
    # common/clock.c allows for a drift of 100 ppm.
    for under in (faketime.wall("+1h"), faketime.wall("-1h"), faketime.rate("1.00005")):
        fleet.start(1, under=under)
    fleet.start(1)
    fleet.produce(each=4)
    everybody = {worker.id for worker in system.workers}
    until(lambda: have_sent(fleet) == everybody, 60, "every worker to have sent something")
    fleet.wait_accepted()
    arrived = {post["body"]: post["arrived_at"] for post in system.sim.posts()}
    rows = system.query(
        "select event_id, taken_in_at, slot_at, started_at, finished_at,"
        " extract(epoch from started_at)::float8 as start from mms.attempt_history"
    )
    for row in rows:
        assert abs(row["start"] - arrived[row["event_id"] + ": hello"]) < 1.0, row
        assert row["taken_in_at"] <= row["slot_at"] <= row["finished_at"], row
        assert row["started_at"] <= row["finished_at"], row


# ---- workers that stand still ----


def clock_passes(system, moment, seconds):
    """Waits until the database's clock is so many seconds past a moment."""
    sql = "select clock_timestamp() >= %s::timestamptz + %s * interval '1 s'"
    until(lambda: system.value(sql, moment, seconds), 30, f"{seconds} s past {moment}", interval=0.005)


def stop_before_slot(system):
    """Stops (SIGSTOP) a worker that has claimed a delivery and not sent it yet. Returns the worker and the delivery."""
    sql = """select event_id, destination_id, slot_at::text, leased_by from mms.deliveries
              where state = 'sending' and slot_at > clock_timestamp() + interval '20 ms' limit 1"""
    workers = {worker.id: worker for worker in system.workers}

    def caught():
        for delivery in system.query(sql):
            worker = workers[delivery["leased_by"]]
            worker.send_signal(signal.SIGSTOP)
            if system.value("select clock_timestamp() < %s::timestamptz", delivery["slot_at"]):
                return worker, delivery
            worker.send_signal(signal.SIGCONT)
        return None

    return until(caught, 30, "a delivery between its claim and its slot", interval=0.002)


@pytest.mark.timeout(240)
def test_a_worker_that_stands_still(system):
    """Stopped between claim and slot, for about as long as a send may be late, while another one serves the same."""
    fleet = Fleet(system, destinations=6)
    fleet.start(2)
    stopped = []
    for seconds in (1.0, 2.5, 2.75, 3.0, 4.0):
        fleet.produce(each=2)
        worker, delivery = stop_before_slot(system)
        clock_passes(system, delivery["slot_at"], seconds)
        assert not system.sim.posts(body=f"{delivery['event_id']}: hello")
        worker.send_signal(signal.SIGCONT)
        stopped.append((worker, delivery["event_id"]))
    fleet.wait_accepted()
    # Whoever is later than the start window doesn't send, but gives back. Just inside it depends on milliseconds.
    for worker, event_id in stopped[3:]:
        assert event_id in {line["event_id"] for line in worker.log_lines("slot missed")}


def test_a_worker_that_stands_still_at_any_moment(system):
    """The same at random moments: while it claims, connects, sends, reads the answer or writes evidence."""
    fleet = Fleet(system, destinations=6)
    fleet.start(2)
    fleet.produce(each=4)
    rng = random.Random()
    for n in range(8):
        worker = system.workers[n % 2]
        time.sleep(rng.random() / 4)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(rng.choice([0.1, 0.3, 1.0, 2.9]))
        worker.send_signal(signal.SIGCONT)
    fleet.wait_accepted()


def test_a_late_send_moves_the_next(system):
    """A second late, then on with the pace from there: the next slot is counted from the real start."""
    fleet = Fleet(system, destinations=1)
    fleet.start(1)
    fleet.produce(each=6)
    fleet.wait_sent(1)
    worker, delivery = stop_before_slot(system)
    clock_passes(system, delivery["slot_at"], 1.0)
    worker.send_signal(signal.SIGCONT)
    fleet.wait_accepted()
    bodies = [post["body"] for post in system.sim.posts()]
    late = bodies.index(f"{delivery['event_id']}: hello")
    gaps = fleet.gaps("d0")
    assert gaps[late - 1] >= 2.0, gaps
    if late < len(gaps):
        assert 1.0 <= gaps[late] < 2.0, gaps


class NarrowDoor:
    """A way to the simulator that lets nobody in at first: the kernel has to try again, a second later.

    arrivals: when each request came, by the kernel's clock. (The way from here to the simulator takes now more, now less.)
    """

    def __init__(self, target):
        self.arrivals = []
        self._target = urlsplit(target)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # what it accepts inherits this
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._first = socket.create_connection(("127.0.0.1", self.port))  # with it the queue is full
        self._sockets = [self._listener, self._first]

    def somebody_knocks(self):
        """Whether a connection to it is being tried (a SYN is out)."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
        return any(remote.endswith(f":{self.port:04X}") and state == "02" for _, _, remote, state, *_ in lines)

    def open(self):
        """From now on everybody gets through."""
        self._listener.accept()[0].close()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                inside = self._listener.accept()[0]
                outside = socket.create_connection((self._target.hostname, self._target.port))
                self._sockets += [inside, outside]
                for way in ((inside, outside), (outside, inside)):
                    threading.Thread(target=self._pump, args=way, daemon=True).start()

    def _pump(self, source, sink):
        with contextlib.suppress(OSError):
            while True:
                data, extra, _, _ = source.recvmsg(65536, 64)
                if not data:
                    break
                if data.startswith(b"POST "):
                    seconds, nanoseconds = struct.unpack("@ll", extra[0][2])
                    self.arrivals.append(seconds + nanoseconds / 1e9)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.mark.parametrize("seconds", [0.0, 2.5])
def test_a_slow_connection(system, seconds):
    """Let in after a second, or after three, which is beyond the start window: the pace goes on from there."""
    fleet = Fleet(system, destinations=1)
    with NarrowDoor(system.sim.base_url) as door:
        fleet.start(1, twilio_base_url=door.url)
        fleet.produce(each=4)
        until(door.somebody_knocks, 30, "the first connection", interval=0.005)
        slot_at = system.value("select min(slot_at)::text from mms.deliveries where state = 'sending'")
        clock_passes(system, slot_at, seconds)
        door.open()
        system.wait_states(accepted=4, timeout=60)
        assert system.workers[0].stop() == 0
    fleet.check_events()
    late = door.arrivals[0] - system.value("select extract(epoch from %s::timestamptz)::float8", slot_at)
    assert late >= 0.9, late
    refused = [row["reason"] for row in system.attempts() if row["outcome"] == "retry"]
    assert refused == (["NOT_CONNECTED"] if seconds else []), (refused, late)
    assert all(after - before >= 1.0 for before, after in pairwise(door.arrivals)), door.arrivals
