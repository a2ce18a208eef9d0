"""The servers of a run, its own, and a system on them whose database comes and goes."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2

from harness.fleet import GROUP, PARTITIONS
from harness.kafka import Kafka
from harness.postgres import Postgres
from harness.process import free_port
from harness.system import System
from harness.wait import TimedOut

from . import plan

LATENCY_MS = 70  # of the simulator's answers
CALLBACK_LIMITS = "#ct=1000&rt=2000"  # milliseconds that it waits for a receiver that is stopped
AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError)
PATIENCE = 60  # seconds for a database that restarts


def start_servers(stack, directory):
    """PostgreSQL (fsync on) and Apache Kafka, both at the same time. The stack closes them."""
    postgres = Postgres(directory / "postgres", fsync=True)
    kafka = Kafka(directory / "kafka")
    stack.callback(kafka.close)
    stack.callback(postgres.close)
    with ThreadPoolExecutor(2) as pool:
        for started in [pool.submit(server.start) for server in (postgres, kafka)]:
            started.result()
    return postgres, kafka


class ChaosSystem(System):
    """A System that finds its way back to a database that was restarted."""

    def __init__(self, postgres, kafka, directory):
        topics = ["mms.events", "mms.results", "mms.dead-letters"]
        for topic, partitions in zip(topics, (PARTITIONS, 3, 1)):
            kafka.create_topic(topic, partitions)
        super().__init__(postgres, kafka, directory, topics)
        self.sim.latency(LATENCY_MS)
        self._callback_port = free_port()
        self._receiver = None  # the worker that listens there

    def close(self):
        """Its database goes with the server."""
        for worker in self.workers:
            worker.end()
        if self.sim:
            self.sim.close()
        self.db.close()

    def query(self, sql, *parameters):
        """Only what may be done twice: a statement whose connection is lost is sent again."""
        deadline = time.monotonic() + PATIENCE
        while (rows := self.query_now(sql, *parameters)) is None:
            if time.monotonic() >= deadline:
                raise TimedOut(f"no answer from the database within {PATIENCE} s")
            time.sleep(0.1)  # the server is on its way
        return rows

    def query_now(self, sql, *parameters):
        """The same, but None if the database is away."""
        try:
            return super().query(sql, *parameters)
        except AWAY:
            with contextlib.suppress(*AWAY):
                self.db.close()
                self.db = self.postgres.connect(self.database)
            return None

    def chaos_worker(self):
        """
        Starts a worker with the settings of a run. Every one has a receiver of callbacks, but they all come to one
        port: to the first worker that was started after the one before had gone. Until then they are lost.
        """
        vacant = self._receiver is None or not self._receiver.alive
        worker = self.worker(
            **GROUP,
            **plan.worker_settings(),
            status_callback_url=f"http://127.0.0.1:{self._callback_port}/twilio/status{CALLBACK_LIMITS}",
            callback_listen=f"127.0.0.1:{self._callback_port if vacant else 0}",
        )
        if vacant:
            self._receiver = worker
        return worker


def prepare(system, decided):
    """Destinations, and what another system has sent. Returns the SIDs of the latter."""
    for destination in decided.destinations:
        system.destination(destination.id, **destination.config())
    system.sim.clock(int(1000 * decided.twilio_ahead))
    foreign = {system.sim.plant(**message) for message in plan.planted(decided)}
    system.sim.clear_requests()
    return foreign
