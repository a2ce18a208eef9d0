"""A whole system for a test or the demo: a database, topics, a simulator, and any number of workers."""

import contextlib
import dataclasses
import functools
import json
import socket
import subprocess
import uuid

import psycopg2
import psycopg2.extras
import requests

from . import BIN
from .process import Process, clean_env
from .sim import Sim
from .wait import until, until_equal

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "a-very-secret-auth-token"
OWL = "https://demo.twilio.com/owl.png"

# A destination with work that nobody would look at in time. The clock is among the reasons to be late: who wakes a
# destination makes it due from that moment on. True at any moment, between any two transactions.
_OVERLOOKED = """
    select q.destination_id, q.pending, q.next_attempt_at, p.next_slot_at::text, p.parked_until::text, p.due_at::text
      from (select w.destination_id, count(*) as pending, min(w.next_attempt_at) as next_attempt_at
              from mms.deliveries w
             where w.state = 'pending'
             group by 1) q
      join mms.destinations d on d.id = q.destination_id and d.disabled_at is null
      left join mms.pacing p on p.destination_id = q.destination_id
     where p.destination_id is null
        or p.due_at > greatest(p.next_slot_at, p.parked_until, q.next_attempt_at, clock_timestamp())
        or p.pending_from > q.next_attempt_at
     order by 1"""

# Who connects as whom: logins with these roles (schemas/postgres/roles.sql) and no right beyond.
LOGINS = {
    "worker": ("a_worker", "mms_worker"),
    "analyst": ("an_analyst", "mms_reader"),
    "operator": ("an_operator", "mms_operator"),
    "person": ("a_person", "mms_worker, mms_operator"),
}
# As whom a subcommand runs; those that only show something as an analyst.
_LOGIN_OF = {"migrate": "owner", "check": "worker", "destination": "operator", "replay": "operator", "prune": "operator", "secret": "operator"}

# Sanitizers report into the worker's log, which check_workers() reads; tests/run-tests has other programs report elsewhere.
_SANITIZER = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def login_of(command):
    """As whom a subcommand runs: one of LOGINS, or "owner"."""
    return _LOGIN_OF.get(str(command), "analyst")


def config(**changes):
    """A valid destination config with changes; None removes a field."""
    whole = {
        "from": "+15550001111",
        "to": "+15557770000",
        "body_template": "{{event_id}}: {{message}}",
        "media_urls": [OWL],
        "auth_type": "TWILIO_AUTH_TOKEN",
        "auth": {"account_sid": ACCOUNT, "auth_token": TOKEN},
        "rate_limit": 1,
        "rate_limit_period": "second",
    }
    whole.update(changes)
    return {name: value for name, value in whole.items() if value is not None}


class Worker(Process):
    """A running mms-worker. under: a program and its arguments that become the worker, such as env(1)."""

    def __init__(self, env, log_path, under=()):
        super().__init__([*under, BIN / "mms-worker", "run"], env=env, log_path=log_path, name="mms-worker")

    @property
    def id(self):
        """Its name in leased_by and in the evidence."""
        return f"{socket.gethostname()}-{self.pid}"

    @functools.cached_property
    def port(self):
        """Where its /metrics, /healthz and /readyz are. Read once: a log may grow to a gigabyte."""
        until(lambda: self.log_lines("listening") or not self.alive, 10, "the worker's port")
        lines = self.log_lines("listening")
        assert lines, f"the worker ended with {self.returncode}: {self.log_text()[-1000:]}"
        return lines[0]["port"]

    def log_lines(self, message=None):
        """Its log, parsed; only lines with this message."""
        lines = []
        for line in self.log_text().splitlines():
            if line.startswith("{"):
                lines.append(json.loads(line))
        return [line for line in lines if message is None or line["message"] == message]

    def get(self, path):
        """(status, text) of one of its pages."""
        session = requests.Session()
        session.trust_env = False
        answer = session.get(f"http://127.0.0.1:{self.port}{path}", timeout=10)
        return answer.status_code, answer.text

    def metric(self, name):
        """A metric's value, summed over its labels."""
        values = [
            float(line.rsplit(" ", 1)[1])
            for line in self.get("/metrics")[1].splitlines()
            if line.startswith(name) and line[len(name)] in " {"
        ]
        return sum(values)

    def partitions(self):
        """How many partitions it has now."""
        lines = [line for line in self.log_lines() if line["message"].startswith("partitions ")]
        return lines[-1].get("count", 0) if lines else 0

    def wait_ready(self, timeout=30):
        until(lambda: self.get("/readyz")[0] == 200, timeout, "the worker to be ready")
        return self


@dataclasses.dataclass
class Command:
    """What a subcommand said, and its exit status: 0 done, 1 failed, 2 called in a wrong way, 3 no final result yet."""

    status: int
    out: str
    err: str

    def rows(self):
        """What --json printed: a list of objects."""
        return [json.loads(line) for line in self.out.splitlines()]


class System:
    """
    postgres   a running harness.postgres.Postgres
    kafka      a running harness.kafka.Kafka or harness.broker.Broker
    directory  for logs
    topics     names of the event, status and dead-letter topics; made by the caller
    """

    def __init__(self, postgres, kafka, directory, topics):
        self.postgres = postgres
        self.kafka = kafka
        self.directory = directory
        self.events_topic, self.results_topic, self.dead_letters_topic = topics
        self.database = "mms_" + uuid.uuid4().hex[:12]
        self.workers = []
        self.sim = None
        postgres.create_database(self.database)
        self.db = postgres.connect(self.database)
        self.sim = Sim(directory)
        self.migrate()
        self.make_logins()

    def make_logins(self):
        """Logins are the server's: another system may have made them, or do so at this moment."""
        for name, roles in LOGINS.values():
            self.query(
                f"do $$ begin create role {name} login in role {roles};"
                " exception when duplicate_object or unique_violation then null; end $$"
            )

    def close(self):
        for worker in self.workers:
            worker.end()
        if self.sim:
            self.sim.close()
        self.db.close()
        self.postgres.drop_database(self.database)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the program ----

    def env(self, login="worker", **settings):
        """The environment of the program. settings: MMS_* without the prefix, lower case.

        login: one of LOGINS, or "owner" (of the database and its tables).
        """
        values = {
            "MMS_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "MMS_DATABASE_URL": self.database_url(login),
            "MMS_TWILIO_BASE_URL": self.sim.base_url,
            "MMS_HTTP_LISTEN": "127.0.0.1:0",
            "MMS_EVENT_TOPICS": self.events_topic,
            "MMS_STATUS_TOPIC": self.results_topic,
            "MMS_DEAD_LETTER_TOPIC": self.dead_letters_topic,
            "MMS_CONSUMER_GROUP": "g-" + self.database,
            **_SANITIZER,
        }
        values.update({f"MMS_{name.upper()}": value for name, value in settings.items()})
        return clean_env(**values)

    def database_url(self, login):
        """How who logs in like this reaches the database; see env()."""
        return self.postgres.url(self.database, *LOGINS.get(login, ())[:1])

    def migrate(self, check=True, **settings):
        return subprocess.run(
            [BIN / "mms-worker", "migrate"], env=self.env("owner", **settings), check=check, capture_output=True, text=True, timeout=60
        )

    def command(self, *words, stdin="", timeout=60, login=None, under=(), **settings):
        """Runs a subcommand to its end, as whom it is for. under: as for a Worker."""
        login = login or login_of(words[0])
        done = subprocess.run(
            [*under, BIN / "mms-worker", *map(str, words)],
            env=self.env(login, **settings), input=stdin, capture_output=True, text=True, timeout=timeout,
        )
        assert "Sanitizer" not in done.stderr and "runtime error:" not in done.stderr, done.stderr
        assert done.returncode in (0, 1, 2, 3), (done.returncode, done.stderr)
        return Command(done.returncode, done.stdout, done.stderr)

    def worker(self, under=(), **settings):
        """Starts a worker; it is ended with the system."""
        log_path = self.directory / f"worker-{len(self.workers)}.log"
        worker = Worker(self.env(**settings), log_path, under)
        self.workers.append(worker)
        return worker

    # ---- data ----

    def reconnect(self):
        """After PostgreSQL was away."""
        self.db.close()
        self.db = self.postgres.connect(self.database)

    def query(self, sql, *parameters):
        """Rows as dicts."""
        with self.db.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(sql, parameters)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    @contextlib.contextmanager
    def session(self, login):
        """A cursor, in autocommit mode, of who logs in like this."""
        with contextlib.closing(psycopg2.connect(self.database_url(login))) as db:
            db.autocommit = True
            with db.cursor() as cursor:
                yield cursor

    def value(self, sql, *parameters):
        """The first column of the first row."""
        return next(iter(self.query(sql, *parameters)[0].values()))

    def destination(self, id, type="TWILIO_MMS", **changes):
        """Writes a destination; changes as in config(). Returns its id."""
        self.query(
            "insert into mms.destinations (id, name, type, config) values (%s, %s, %s, %s)"
            " on conflict (id) do update set type = excluded.type, config = excluded.config",
            id, id, type, json.dumps(config(**changes)),
        )
        return id

    def event(self, event_id, destination_id, message="hello", **more):
        """An event, to be produced."""
        return {"event_id": event_id, "destination_id": destination_id, "payload": {"message": message}, **more}

    def produce(self, *events, key="k", partition=-1, headers=None):
        """Produces events (dicts) or raw values, in order, to one key's partition."""
        for event in events:
            self.kafka.produce(self.events_topic, event, key=key, partition=partition, headers=headers)

    def produce_many(self, events, keys=None, partition=-1):
        self.kafka.produce_many(self.events_topic, [json.dumps(event) for event in events], keys, partition)

    def states(self):
        """How many deliveries are in each state."""
        return {r["state"]: r["n"] for r in self.query("select state, count(*) as n from mms.deliveries group by 1")}

    def wait_states(self, timeout=30, **states):
        """Waits until the deliveries' states are exactly these."""

        def look():
            self.check_workers()
            return self.states()

        until_equal(look, states, timeout, "the deliveries' states")

    def overlooked(self):
        """Destinations with pending deliveries that nobody would look at in time. There must be none, at any moment."""
        return self.query(_OVERLOOKED)

    def check_workers(self):
        """Fails if a sanitizer has complained about a worker."""
        for worker in self.workers:
            text = worker.log_text()
            if "Sanitizer" in text or "runtime error:" in text:
                raise AssertionError(f"sanitizer report in {worker.log_path}:\n" + text[-8000:])

    def results(self, count=None, timeout=20):
        """The results on the status topic; waits for `count` of them."""
        if count is None:
            return [record.json() for record in self.kafka.consume(self.results_topic)]
        return [record.json() for record in self.kafka.consume(self.results_topic, until=count, timeout=timeout)]

    def dead_letters(self, count=None, timeout=20):
        """The records on the dead-letter topic; waits for `count` of them."""
        if count is None:
            return self.kafka.consume(self.dead_letters_topic)
        return self.kafka.consume(self.dead_letters_topic, until=count, timeout=timeout)

    def attempts(self, event_id=None):
        """The attempt history, of one event or of all."""
        return self.query(
            "select * from mms.attempt_history where %s::text is null or event_id = %s order by finished_at",
            event_id, event_id,
        )
