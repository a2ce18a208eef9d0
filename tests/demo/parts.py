"""The parts of the demo: servers, workers, and the end of it all."""

import contextlib
import os
import secrets
import signal
from pathlib import Path

from harness import BIN, ROOT, Unavailable
from harness.broker import Broker
from harness.postgres import Postgres
from harness.process import free_port
from harness.sim import Sim
from harness.system import System
from harness.wait import TimedOut, until
from show import step

TOPICS = {"mms.events": 4, "mms.results": 3, "mms.dead-letters": 1}
DATABASE = "mms"
WORKERS = 2

_SETTINGS = {
    "retry_base": "100ms",  # so that a Retry-After is what a retry waits for
    # The embedded broker turns a member away whose SyncGroup comes after the leader's, and lets it join again only
    # after session.timeout.ms less a second: 9 s by default.
    "kafka_session_timeout_ms": 3000,
    "kafka_heartbeat_interval_ms": 500,
}
_REAL_SETTINGS = {"status_poll_delay": "5s"}  # Twilio can't call back a machine without a public address


class NotStarted(Unavailable):
    """A worker has ended at once or isn't ready; the text has its last words."""


class Twilio:
    """Twilio itself, where a System has a simulator."""

    def __init__(self, base_url):
        self.base_url = base_url

    def close(self):
        pass


class DemoSystem(System):
    """A System with the names that the documentation uses, and a Twilio that may be the real one."""

    group = "mms-worker"

    def __init__(self, postgres, kafka, directory, twilio):
        # Not System's own: that makes a simulator in any case.
        self.postgres = postgres
        self.kafka = kafka
        self.directory = directory
        self.events_topic, self.results_topic, self.dead_letters_topic = TOPICS
        self.database = DATABASE
        self.sim = twilio
        self.workers = []
        postgres.create_database(self.database)
        self.db = postgres.connect(self.database)
        migrated = self.migrate(check=False)
        if migrated.returncode != 0:
            raise NotStarted(migrated.stderr.strip())
        self.make_logins()

    def env(self, login="worker", **settings):
        env = super().env(login, consumer_group=self.group, **settings)
        if "PGPASSFILE" in os.environ:
            env["PGPASSFILE"] = os.environ["PGPASSFILE"]
        return env

    def stop_workers(self, timeout=20.0):
        """Asks all of them to end; returns their exit statuses, None for one that had to be killed."""
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        statuses = []
        for worker in self.workers:
            try:
                statuses.append(worker.wait(timeout))
            except TimedOut:
                worker.kill()
                statuses.append(None)
        return statuses

    def close(self):
        self.stop_workers(8.0)
        super().close()


def start(stack, directory, scenario):
    """Starts everything but the workers, saying what and where; `stack` ends it. Returns the DemoSystem."""
    postgres = stack.enter_context(Postgres(directory / "postgres"))
    if not scenario.simulated:
        _lock(postgres, directory)
    kafka = stack.enter_context(Broker(BIN / "mms-broker", directory, TOPICS))
    twilio = stack.enter_context(Sim(directory)) if scenario.simulated else Twilio(scenario.twilio_url)
    system = stack.enter_context(contextlib.closing(DemoSystem(postgres, kafka, directory, twilio)))
    step("PostgreSQL", _psql(system))
    step("Kafka", f"embedded broker on {kafka.bootstrap}: {', '.join(TOPICS)}")
    step("Twilio", f"simulator, its log: {twilio.base_url}/_sim/requests" if scenario.simulated else twilio.base_url)
    return system


def start_playground_worker(system):
    """One worker, which takes the callbacks of its own messages."""
    listen = f"127.0.0.1:{free_port()}"
    worker = system.worker(
        **_SETTINGS, status_callback_url=f"http://{listen}/twilio/status", callback_listen=listen
    )
    _await_worker(system, 0)
    return worker


def start_workers(system, scenario):
    if scenario.simulated:
        # One takes the callbacks for the messages of all.
        listen = f"127.0.0.1:{free_port()}"
        more = {"status_callback_url": f"http://{listen}/twilio/status"}
        system.worker(**_SETTINGS, **more, callback_listen=listen)
    else:
        more = _REAL_SETTINGS
    while len(system.workers) < WORKERS:
        system.worker(**_SETTINGS, **more)
    for number in range(WORKERS):
        _await_worker(system, number)
    if scenario.simulated:
        step("Callbacks", f"worker 0 takes them for both, at {more['status_callback_url']}")


def _await_worker(system, number):
    """Until it is ready; says where it is."""
    worker = system.workers[number]
    until(lambda: worker.log_lines("listening") or not worker.alive, 10, "the worker to listen")
    if not worker.alive:
        raise NotStarted(f"worker {number} did not start ({worker.returncode}):\n{worker.log_tail(3)}")
    try:
        port = worker.wait_ready().port
    except TimedOut as error:
        raise NotStarted(f"worker {number}: {error}; its log ends:\n{worker.log_tail(5)}") from None
    step(f"Worker {number}", f"http://127.0.0.1:{port}/metrics, log: {_shown(worker.log_path)}")


def _lock(postgres, directory):
    """For real credentials: a password, so that other users of this machine can't read the destination row."""
    password = secrets.token_urlsafe(24)
    with contextlib.closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("show hba_file")
        hba_file = cursor.fetchone()[0]
        cursor.execute("alter role current_user password %s", [password])
        cursor.execute("copy (select 'host all all 127.0.0.1/32 scram-sha-256') to %s", [hba_file])
        cursor.execute("select pg_reload_conf()")
    path = directory / "pgpass"
    path.touch(mode=0o600)
    path.write_text(f"{postgres.host}:{postgres.port}:*:*:{password}\n")
    os.environ["PGPASSFILE"] = str(path)


def _psql(system):
    prefix = f"PGPASSFILE={_shown(Path(os.environ['PGPASSFILE']))} " if "PGPASSFILE" in os.environ else ""
    return f"{prefix}psql {system.postgres.url(system.database)}"


def _shown(path):
    """A path as short as it can be said."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
