"""PostgreSQL, Kafka and Twilio go away, each and all at once: the worker waits, says so once, and goes on by itself."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from harness import BUILD
from harness.fleet import GROUP, RECONCILE, Fleet
from harness.gate import Gate
from harness.kafka import Kafka
from harness.postgres import Postgres
from harness.wait import until

# What an outage left in a claim or a send that nobody heard of again is settled soon.
SHORT_LEASE = {**GROUP, **RECONCILE}

POSTGRESQL = {"postgresql (intake)", "postgresql (pacer)", "postgresql (evidence)"}
# Lines that a part may write while it is away: the loss, and each other reason once (shutting down, refused, starting up …).
LINES_EACH = 5

_TICKS = os.sysconf("SC_CLK_TCK")


# ---- servers of this file's own, to be stopped and started ----


@pytest.fixture(scope="module")
def servers():
    own = Postgres(BUILD / "test" / "outages" / "postgres"), Kafka(BUILD / "test" / "outages" / "kafka")
    try:
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(server.start) for server in own]:
                started.result()
        yield own
    finally:
        for server in own:
            server.close()


@pytest.fixture(scope="module")
def postgres(servers):
    return servers[0]


@pytest.fixture(scope="module")
def kafka(servers):
    return servers[1]


@pytest.fixture(autouse=True)
def everything_runs(servers):
    """Whatever a test left: the next one, and the end of this one, find the servers running."""
    for server in servers:
        server.start()


@pytest.fixture
def outage(system, servers):
    """The system, whose servers are started again before it is closed."""
    yield system
    for server in servers:
        server.start()


# ---- looking ----


def parts_away(worker):
    """The parts that /readyz names."""
    status, text = worker.get("/readyz")
    return {line.split(": ")[0] for line in text.splitlines()} if status == 503 else set()


def wait_away(workers, parts):
    for worker in workers:
        until(lambda worker=worker: parts <= parts_away(worker), 30, lambda: f"/readyz to name {parts}: {worker.get('/readyz')}")


def wait_refused(workers):
    """Waits until each connection to PostgreSQL has found out that nobody listens any more."""
    for worker in workers:
        until(lambda worker=worker: worker.get("/readyz")[1].count("Connection refused") == 3, 30, "refused connections")


def wait_ready(workers):
    for worker in workers:
        worker.wait_ready(timeout=40)


class Costs:
    """What workers use and write from here on."""

    def __init__(self, workers):
        self.workers = workers
        self._lines = [len(worker.log_lines()) for worker in workers]
        self._memory = [self._kilobytes(worker) for worker in workers]

    @staticmethod
    def _cpu(worker):
        with open(f"/proc/{worker.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @staticmethod
    def _kilobytes(worker):
        with open(f"/proc/{worker.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def lines(self, index=0):
        """Log lines since then; attempts are work, not words."""
        return [line for line in self.workers[index].log_lines()[self._lines[index]:] if line["message"] != "attempt"]

    def check(self, lines_max, ticks=2):
        """For so many ticks of librdkafka's statistics (2 s each): hardly any CPU or memory, and so few lines in all."""
        for index, worker in enumerate(self.workers):
            before, cpu = worker.metric("mms_kafka_statistics_total"), self._cpu(worker)
            until(lambda w=worker, n=before + ticks: w.metric("mms_kafka_statistics_total") >= n, 30, "statistics", interval=0.2)
            assert self._cpu(worker) - cpu < 0.1 * 2 * ticks, "it spins"
            assert len(self.lines(index)) <= lines_max, self.lines(index)
            assert self._kilobytes(worker) - self._memory[index] < 16 << 10, "it grows"


def check_results(system):
    """Every attempt's result is on the status topic."""
    expected = {str(row["result_id"]) for row in system.query("select result_id from mms.attempts")}
    system.kafka.consume(system.results_topic, until=lambda records: expected <= {r.json()["result_id"] for r in records}, timeout=60)


def no_destination_parked(system):
    return system.value("select count(*) from mms.destination_health where condition = 'parked' or trouble > 0") == 0


# ---- PostgreSQL ----


def test_postgresql_is_restarted(outage, postgres):
    """In good order and as if it had crashed, under load."""
    fleet = Fleet(outage, destinations=3)
    workers = fleet.start(2, **SHORT_LEASE)
    fleet.produce(each=9)
    for sent, mode in ((6, "fast"), (15, "immediate")):
        fleet.wait_sent(sent)
        costs = Costs(workers)
        postgres.stop(mode)
        wait_refused(workers)
        Costs(workers).check(lines_max=0, ticks=1)
        assert all(len(costs.lines(index)) <= 3 * LINES_EACH for index in range(2))
        postgres.start()
        outage.reconnect()
        wait_ready(workers)
        for index in range(2):
            ready = [line["part"] for line in costs.lines(index) if line["message"] == "ready"]
            assert sorted(ready) == sorted(POSTGRESQL)
    # Of each destination a claim whose answer was lost, at each restart.
    fleet.wait_accepted(timeout=90)


def test_connections_are_terminated(outage):
    """By an administrator's command: nothing is lost, and each is back at once."""
    fleet = Fleet(outage, destinations=3)
    worker, = fleet.start(1, **SHORT_LEASE)
    fleet.produce(each=6)
    for sent in (3, 9):
        fleet.wait_sent(sent)
        ended = outage.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'mms-worker%%'")
        assert len(ended) == 3
    fleet.wait_accepted(timeout=90)
    worker.wait_ready()


def read_only(postgres, on):
    with closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("set default_transaction_read_only = off")
        cursor.execute(f"alter system set default_transaction_read_only = {'on' if on else 'off'}")
        cursor.execute("select pg_reload_conf()")


def test_postgresql_is_read_only(outage, postgres):
    """Reads succeed and writes don't: the worker is not ready, all the time, and asks now and then."""
    fleet = Fleet(outage, destinations=3)
    worker, = fleet.start(1, **SHORT_LEASE)
    fleet.produce(each=4)
    fleet.wait_sent(3)
    costs = Costs([worker])
    sessions = "select sessions from pg_stat_database where datname = current_database()"
    try:
        read_only(postgres, True)
        fleet.produce(each=1)
        until(lambda: worker.get("/readyz")[1].count("the server is read-only") == 3, 30, "each connection to find out")
        before = outage.value(sessions)
        assert len(costs.lines()) <= 3 * LINES_EACH
        Costs([worker]).check(lines_max=0)
        assert parts_away(worker) == POSTGRESQL
        assert outage.value(sessions) - before < 20, "it connects again and again"
    finally:
        read_only(postgres, False)
    fleet.wait_accepted()
    wait_ready([worker])


FULL = """
    create or replace function mms.full_disk() returns trigger language plpgsql as $$
    begin
        raise exception using errcode = '53100', message = 'could not extend file: No space left on device';
    end $$"""


def test_postgresql_is_out_of_disk(outage):
    """Events, claims and evidence are refused, and nothing of them is lost."""
    fleet = Fleet(outage, destinations=3)
    worker, = fleet.start(1, **SHORT_LEASE)
    fleet.produce(each=4)
    outage.sim.latency(500)  # sends are under way, and leave evidence
    fleet.wait_sent(3)
    costs = Costs([worker])
    outage.query(FULL)
    for table in ("attempts", "pacing", "deliveries"):
        outage.query(f"create trigger full_disk before insert or update on mms.{table} execute function mms.full_disk()")
    fleet.produce(each=2)
    wait_away([worker], POSTGRESQL)
    claims = worker.metric("mms_claims_total")
    costs.check(lines_max=3)
    assert worker.metric("mms_claims_total") - claims < 20, "it claims again and again"
    assert "No space left" in worker.get("/readyz")[1]
    for table in ("attempts", "pacing", "deliveries"):
        outage.query(f"drop trigger full_disk on mms.{table}")
    fleet.wait_accepted()
    wait_ready([worker])
    assert outage.value("select count(*) from mms.rejected_events") == 0


def test_a_right_is_missing(outage):
    """A statement that can't succeed, on a connection that is well: one line, and a few connections."""
    outage.destination("d")
    worker = outage.worker(**GROUP).wait_ready()
    costs = Costs([worker])
    sessions = "select sessions from pg_stat_database where datname = current_database()"
    outage.query("alter table mms.attempts rename column worker to renamed")
    outage.produce(outage.event("e", "d"))
    wait_away([worker], {"postgresql (evidence)"})
    before = outage.value(sessions)
    costs.check(lines_max=1)
    assert outage.value(sessions) - before < 10, "it connects again and again"
    outage.query("alter table mms.attempts rename column renamed to worker")
    outage.wait_states(accepted=1)
    wait_ready([worker])


# ---- Kafka ----


def test_kafka_is_away(outage, kafka):
    """What was taken in is sent and leaves its evidence; the results catch up."""
    fleet = Fleet(outage, destinations=3)
    workers = fleet.start(2, **SHORT_LEASE)
    fleet.produce(each=8)
    until(lambda: outage.value("select count(*) from mms.deliveries") == 24, 30, "all events to be taken in")
    costs = Costs(workers)
    kafka.stop()
    wait_away(workers, {"kafka"})
    fleet.wait_accepted()
    # The loss, a session that timed out, offsets and results that were kept: each once.
    costs.check(lines_max=5, ticks=3)
    failures = sum(worker.metric("mms_results_publish_failures_total") for worker in workers)
    assert failures <= 6, "results are handed to a client that can't send them"
    assert all(parts_away(worker) == {"kafka"} for worker in workers)
    kafka.start()
    fleet.produce(each=1)
    fleet.wait_accepted()
    wait_ready(workers)
    check_results(outage)


# ---- Twilio ----


def test_twilio_is_out_of_reach_for_one_worker(outage):
    """The other one serves every destination, at its pace."""
    fleet = Fleet(outage, destinations=4, detour=True)
    with Gate(outage.sim.base_url) as gate:
        cut, = fleet.start(1, twilio_base_url=gate.url)
        costs = Costs([cut.wait_ready()])
        fleet.produce(each=6)
        wait_away([cut], {"twilio"})
        until(lambda: outage.states() == {"pending": 24}, 30, "everything to be given back")
        assert no_destination_parked(outage)
        other, = fleet.start(1)
        fleet.wait_accepted()
        fleet.check_busy()
        tries = outage.value("select count(*) from mms.attempts where reason = 'NOT_CONNECTED' and worker = %s", cut.id)
        assert 3 <= tries <= 2 * len(fleet.numbers) + 2
        assert outage.value("select count(*) from mms.attempts where outcome <> 'accepted' and worker = %s", other.id) == 0
        costs.check(lines_max=3, ticks=1)  # with partitions that came and went
        assert other.stop() == 0
        gate.open()
        fleet.produce(each=2)
        fleet.wait_accepted()
        wait_ready([cut])


def test_twilio_is_out_of_reach_for_everybody(outage):
    """Nobody tries again and again; once it is back, everything goes out at the destinations' pace."""
    fleet = Fleet(outage, destinations=4, detour=True)
    with Gate(outage.sim.base_url).open() as gate:
        workers = fleet.start(2, twilio_base_url=gate.url, **SHORT_LEASE)
        fleet.produce(each=5)
        fleet.wait_sent(4)
        costs = Costs(workers)
        gate.shut()
        wait_away(workers, {"twilio"})
        until(lambda: "sending" not in outage.states(), 30, "everything to be given back")
        tries = "select count(*) from mms.attempts where reason = 'NOT_CONNECTED'"
        before = outage.value(tries)
        assert before <= 2 * (2 * len(fleet.numbers) + 2)
        costs.check(lines_max=1, ticks=1)
        assert outage.value(tries) == before
        assert no_destination_parked(outage)
        gate.open()
        fleet.wait_accepted(timeout=90)  # sends that were cut
        wait_ready(workers)


def test_twilios_name_is_not_resolved(outage):
    """One line says so; a worker that is asked to stop does so at once."""
    fleet = Fleet(outage, destinations=3)
    worker, = fleet.start(1, twilio_base_url="https://does-not-exist.invalid")
    costs = Costs([worker.wait_ready()])
    fleet.produce(each=2)
    wait_away([worker], {"twilio"})
    costs.check(lines_max=1)
    assert "does-not-exist.invalid" in costs.lines()[0]["reason"]
    assert outage.states() == {"pending": 6}
    assert worker.stop(timeout=5) == 0


# ---- all of them ----


def test_everything_is_away_at_once(outage, postgres, kafka):
    """PostgreSQL and Kafka are killed and Twilio is cut off, under load; then all are back."""
    fleet = Fleet(outage, destinations=3, detour=True)
    with Gate(outage.sim.base_url).open() as gate:
        workers = fleet.start(2, twilio_base_url=gate.url, **SHORT_LEASE)
        fleet.produce(each=8)
        fleet.wait_sent(6)
        costs = Costs(workers)
        gate.shut()
        wait_away(workers[:1], {"twilio"})
        kafka.kill()
        postgres.stop("immediate")
        wait_away(workers, POSTGRESQL | {"kafka"})
        costs.check(lines_max=1 + 3 * LINES_EACH + 5, ticks=1)
        # What was held back when it was taken away is not held back for good.
        until(lambda: not any(worker.partitions() for worker in workers), 30, "the partitions to be taken away")
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(server.start) for server in (postgres, kafka)]:
                started.result()
        gate.open()
        outage.reconnect()
        fleet.produce(each=1)
        fleet.wait_accepted(timeout=90)
        wait_ready(workers)
        check_results(outage)
