"""Settings and arguments that are wrong end in one line and status 2; servers that are away are waited for."""

import contextlib
import select
import socket
import subprocess
import threading

import pytest

from harness import BIN
from harness.postgres import Postgres
from harness.process import clean_env, free_port
from harness.wait import until, until_equal

SECRET = "hunter2-and-more"

# Of DESIGN 3.1; None: required.
DEFAULTS = {
    "MMS_KAFKA_BOOTSTRAP_SERVERS": None,
    "MMS_EVENT_TOPICS": "mms.events",
    "MMS_CONSUMER_GROUP": "mms-worker",
    "MMS_STATUS_TOPIC": "mms.results",
    "MMS_DEAD_LETTER_TOPIC": "mms.dead-letters",
    "MMS_DATABASE_URL": "",
    "MMS_TWILIO_BASE_URL": "https://api.twilio.com",
    "MMS_TWILIO_TIMEOUT": "35s",
    "MMS_RECONCILE_DELAY": "60s",
    "MMS_LEASE": "90s",
    "MMS_MAX_ATTEMPTS": "5",
    "MMS_RETRY_BASE": "30s",
    "MMS_RETRY_MAX": "1h",
    "MMS_EXPIRE_AFTER": "0",
    "MMS_HTTP_LISTEN": "127.0.0.1:9464",
    "MMS_LOG_LEVEL": "info",
}

NAMES = ["no such setting"]
DURATION = ["expected a duration", "such as"]
BASE_URL = ["expected an https URL", "MMS_TWILIO_ALLOW_HTTP"]
LISTEN = ["expected address:port"]
DATABASE = ["expected a URI such as postgresql://"]
RESERVED = ["the worker itself"]

# Name, value, words of the one line.
WRONG = [
    ("MMS_TYPO", "1", NAMES),
    ("MMS_TYPO", "", NAMES),
    ("MMS_", "1", NAMES),
    ("MMS_twilio_timeout", "35s", NAMES),
    ("MMS_TWILIO_TIMEOUTS", "35s", NAMES),
    ("MMS_TWILIO_TOKEN", SECRET, NAMES),
    ("MMS_KAFKA_", "1", NAMES),
    ("MMS_KAFKA_BOOTSTRAP_SERVERS", "", ["required"]),
    ("MMS_TWILIO_TIMEOUT", "35", DURATION),
    ("MMS_TWILIO_TIMEOUT", "soon", DURATION),
    ("MMS_TWILIO_TIMEOUT", "-35s", DURATION),
    ("MMS_TWILIO_TIMEOUT", "1.5s", DURATION),
    ("MMS_TWILIO_TIMEOUT", "35 s", DURATION),
    ("MMS_TWILIO_TIMEOUT", "35S", DURATION),
    ("MMS_TWILIO_TIMEOUT", "0", DURATION),
    ("MMS_TWILIO_TIMEOUT", "999ms", DURATION),
    ("MMS_TWILIO_TIMEOUT", "2h", DURATION),
    ("MMS_TWILIO_TIMEOUT", "99999999999999999999s", DURATION),
    ("MMS_TWILIO_TIMEOUT", "9223372036854775807h", DURATION),
    ("MMS_RECONCILE_DELAY", "0", DURATION),
    ("MMS_RECONCILE_DELAY", "2d", DURATION),
    ("MMS_LEASE", "long", DURATION),
    ("MMS_LEASE", "44s", ["too short", "MMS_TWILIO_TIMEOUT", "45s"]),
    ("MMS_MAX_ATTEMPTS", "0", ["whole number from 1 to 1000"]),
    ("MMS_MAX_ATTEMPTS", "1001", ["whole number from 1 to 1000"]),
    ("MMS_MAX_ATTEMPTS", "-1", ["whole number from 1 to 1000"]),
    ("MMS_MAX_ATTEMPTS", "five", ["whole number from 1 to 1000"]),
    ("MMS_MAX_ATTEMPTS", "5x", ["whole number from 1 to 1000"]),
    ("MMS_MAX_ATTEMPTS", "5.0", ["whole number from 1 to 1000"]),
    ("MMS_MAX_ATTEMPTS", " 5", ["whole number from 1 to 1000"]),
    ("MMS_MAX_ATTEMPTS", "99999999999999999999", ["whole number from 1 to 1000"]),
    ("MMS_RETRY_BASE", "0", DURATION),
    ("MMS_RETRY_MAX", "29s", ["MMS_RETRY_BASE"]),
    ("MMS_RETRY_MAX", "8d", DURATION),
    ("MMS_EXPIRE_AFTER", "never", DURATION),
    ("MMS_EXPIRE_AFTER", "-1h", DURATION),
    ("MMS_TWILIO_ALLOW_HTTP", "perhaps", ["expected true or false"]),
    ("MMS_LOG_LEVEL", "loud", ["one of debug|info|warn|error"]),
    ("MMS_LOG_LEVEL", "INFO", ["one of debug|info|warn|error"]),
    ("MMS_LOG_LEVEL", "info|warn", ["one of debug|info|warn|error"]),
    ("MMS_LOG_FORMAT", "xml", ["one of json|text"]),
    ("MMS_TWILIO_BASE_URL", "http://api.example.com", BASE_URL),
    ("MMS_TWILIO_BASE_URL", "http://127.0.0.1.example.com", BASE_URL),
    ("MMS_TWILIO_BASE_URL", "http://localhost@api.example.com", ["expected an https URL"]),
    ("MMS_TWILIO_BASE_URL", "ftp://127.0.0.1", BASE_URL),
    ("MMS_TWILIO_BASE_URL", "api.twilio.com", BASE_URL),
    ("MMS_TWILIO_BASE_URL", "https://", BASE_URL),
    ("MMS_TWILIO_BASE_URL", f"https://user:{SECRET}@api.twilio.com", ["expected"]),
    ("MMS_TWILIO_BASE_URL", f"http://user:{SECRET}@api.example.com", ["expected"]),
    ("MMS_HTTP_LISTEN", "9464", LISTEN),
    ("MMS_HTTP_LISTEN", ":9464", LISTEN),
    ("MMS_HTTP_LISTEN", "127.0.0.1", LISTEN),
    ("MMS_HTTP_LISTEN", "127.0.0.1:", LISTEN),
    ("MMS_HTTP_LISTEN", "127.0.0.1:http", LISTEN),
    ("MMS_HTTP_LISTEN", "127.0.0.1:65536", LISTEN),
    ("MMS_HTTP_LISTEN", "127.0.0.1:-1", LISTEN),
    ("MMS_HTTP_LISTEN", "127.0.0.1:9464x", LISTEN),
    ("MMS_HTTP_LISTEN", "127.0.0.1: 9464", LISTEN),
    ("MMS_HTTP_LISTEN", "::1", LISTEN),
    ("MMS_HTTP_LISTEN", "[]:9464", LISTEN),
    ("MMS_HTTP_LISTEN", "[::1:9464", LISTEN),
    ("MMS_HTTP_LISTEN", "[::1]x:9464", LISTEN),
    ("MMS_CALLBACK_LISTEN", "127.0.0.1:0", ["MMS_STATUS_CALLBACK_URL"]),
    ("MMS_STATUS_CALLBACK_URL", f"https://user:{SECRET}@mms.example.com/status", ["user name"]),
    ("MMS_STATUS_CALLBACK_URL", "https://mms.example.com/\nstatus", ["control character"]),
    ("MMS_STATUS_CALLBACK_URL", "https://mms_worker.example.com/status", ["underscore"]),
    ("MMS_STATUS_CALLBACK_URL", "mms.example.com/status", ["expected an http(s) URL"]),
    ("MMS_DATABASE_URL", f"host=127.0.0.1 password={SECRET} nonsense=1", DATABASE),
    ("MMS_DATABASE_URL", f"postgresql://user:{SECRET}@127.0.0.1/mms?nonsense=1", DATABASE),
    ("MMS_DATABASE_URL", f"mysql://user:{SECRET}@127.0.0.1/mms", DATABASE),
    ("MMS_EVENT_TOPICS", ",", ["expected"]),
    ("MMS_EVENT_TOPICS", "^mms.[", ["expected"]),
    ("MMS_EVENT_TOPICS", "mms.events,no topic!", ["expected"]),
    ("MMS_STATUS_TOPIC", "results/mms", ["expected"]),
    ("MMS_DEAD_LETTER_TOPIC", "x" * 250, ["expected"]),
    ("MMS_KAFKA_NO_SUCH", "1", ["no such", "librdkafka"]),
    ("MMS_KAFKA_SASL_PASSWORDS", SECRET, ["no such", "librdkafka"]),
    ("MMS_KAFKA_SECURITY_PROTOCOL", "PIGEON", ["security.protocol"]),
    ("MMS_KAFKA_SOCKET_TIMEOUT_MS", "long", ["socket.timeout.ms"]),
    ("MMS_KAFKA_SOCKET_TIMEOUT_MS", "-5", ["socket.timeout.ms"]),
    ("MMS_KAFKA_GROUP_ID", "mine", RESERVED),
    ("MMS_KAFKA_ENABLE_AUTO_COMMIT", "false", RESERVED),
    ("MMS_KAFKA_ENABLE_AUTO_OFFSET_STORE", "true", RESERVED),
    ("MMS_KAFKA_ENABLE_IDEMPOTENCE", "false", RESERVED),
    ("MMS_KAFKA_PARTITION_ASSIGNMENT_STRATEGY", "cooperative-sticky", ["eager"]),
]

# Only `run` has to know about these; `migrate` needs nothing but the database.
FOR_RUN = ("MMS_KAFKA_", "MMS_EVENT_TOPICS", "MMS_STATUS_TOPIC", "MMS_DEAD_LETTER_TOPIC")


def program(*arguments, timeout=10, **settings):
    """Runs mms-worker to its end. One that does not end is killed, and that fails the test."""
    env = {
        "MMS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "MMS_DATABASE_URL": "postgresql://postgres@127.0.0.1:1/mms",
        "MMS_HTTP_LISTEN": "127.0.0.1:0",
        **settings,
    }
    return subprocess.run(
        [BIN / "mms-worker", *arguments], env=clean_env(**env), capture_output=True, text=True, timeout=timeout, check=False
    )


def check_line(done, status, *words):
    """It ended with this status and exactly one line on stderr, which has these words and no secret."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    missing = [word for word in words if word not in lines[0]]
    assert not missing, f"no {missing} in: {lines[0]}"
    assert SECRET not in done.stderr + done.stdout
    assert done.returncode == status, f"status {done.returncode}: {lines[0]}"


def case_id(value):
    return value[:40] or "empty" if isinstance(value, str) else ""


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "value", "words"), WRONG, ids=case_id)
def test_a_wrong_setting_is_one_line(name, value, words):
    """Status 2, and one line that names the setting and what was expected; migrate says the same."""
    check_line(program("run", **{name: value}), 2, f"{name}: ", *words)
    if not name.startswith(FOR_RUN):
        check_line(program("migrate", **{name: value}), 2, f"{name}: ", *words)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["command"]),
        (["fly"], ["fly"]),
        (["run", "now"], ["now"]),
        (["migrate", "--force"], ["--force"]),
        (["help", "fly"], ["fly"]),
        (["--version-of-what"], ["--version-of-what"]),
    ],
    ids=lambda value: " ".join(value) or "none",
)
def test_wrong_arguments_are_one_line(arguments, words):
    check_line(program(*arguments), 2, "mms-worker", *words)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("arguments", [["help", "run"], ["run", "--help"]], ids=" ".join)
def test_help_lists_every_setting(arguments):
    """With its default, on stdout."""
    done = program(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    for name, default in DEFAULTS.items():
        expected = {None: f"{name}  (required)", "": name}.get(default, f"{name}  (default {default})")
        assert expected in lines, f"no line {expected!r}"
    assert "MMS_KAFKA_<PROPERTY>" in lines
    assert all(len(line) < 160 for line in lines)


@pytest.mark.timeout(60)
def test_help_lists_the_commands():
    for arguments in (["help"], ["--help"], ["-h"]):
        done = program(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(f"\n  {command} " in done.stdout for command in ("run", "migrate", "help"))


@pytest.mark.timeout(60)
def test_a_port_in_use_ends_the_run():
    """Status 1, and one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = "127.0.0.1:%d" % taken.getsockname()[1]
        check_line(program("run", MMS_HTTP_LISTEN=listen, MMS_LOG_LEVEL="error"), 1, "MMS_HTTP_LISTEN", listen, '"error"')


@pytest.mark.timeout(60)
def test_what_only_kafkas_library_finds_ends_the_run():
    """A file that isn't there, a name that it doesn't know: status 1, and one line without secrets."""
    done = program(
        "run",
        MMS_LOG_LEVEL="error",
        MMS_KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        MMS_KAFKA_SASL_MECHANISMS="PLAIN",
        MMS_KAFKA_SASL_USERNAME="worker",
        MMS_KAFKA_SASL_PASSWORD=SECRET,
        MMS_KAFKA_SSL_CA_LOCATION="/nowhere/ca.pem",
    )
    check_line(done, 1, "Kafka", "ssl.ca.location")
    done = program("run", MMS_LOG_LEVEL="error", MMS_KAFKA_PARTITION_ASSIGNMENT_STRATEGY="oracle")
    check_line(done, 1, "Kafka", "partition.assignment.strategy", "oracle")


@pytest.mark.timeout(60)
def test_migrate_without_a_database():
    """Status 1, and one line; the password stays put."""
    port = free_port()
    done = program("migrate", MMS_DATABASE_URL=f"postgresql://postgres:{SECRET}@127.0.0.1:{port}/mms")
    check_line(done, 1, "migrate", "connecting", str(port))


def test_settings_are_shown_masked_at_start(system):
    """Every setting is in the log once, without passwords; those do what they are for all the same."""
    host = f"{system.postgres.host}:{system.postgres.port}"
    worker = system.worker(
        database_url=f"postgresql://postgres:{SECRET}@{host}/{system.database}",
        kafka_sasl_username="worker",
        kafka_sasl_password=SECRET,
        kafka_ssl_key_password=SECRET,
        kafka_sasl_oauthbearer_config=SECRET,
        kafka_client_id="shown",
        retry_base="1500ms",
    ).wait_ready()
    shown = worker.log_lines("settings")
    assert len(shown) == 1
    assert shown[0].keys() >= DEFAULTS.keys()
    assert SECRET not in worker.log_text()
    assert SECRET not in worker.get("/metrics")[1]
    assert f"host={system.postgres.host}" in shown[0]["MMS_DATABASE_URL"]
    assert f"dbname={system.database}" in shown[0]["MMS_DATABASE_URL"]
    expected = {
        "MMS_TWILIO_TIMEOUT": "35s",
        "MMS_RETRY_BASE": "1.5s",
        "MMS_MAX_ATTEMPTS": "5",
        "MMS_CONSUMER_GROUP": "g-" + system.database,
        "sasl.username": "worker",
        "sasl.password": "***",
        "ssl.key.password": "***",
        "sasl.oauthbearer.config": "***",
        "client.id": "shown",
    }
    assert {name: shown[0][name] for name in expected} == expected


def changes(worker, part):
    """What the log says about a part, in order: the reasons while it was away, None when it was ready."""
    said = ("ready", "not ready, trying again")
    return [line.get("reason") for line in worker.log_lines() if line["message"] in said and line["part"].startswith(part)]


def not_ready(worker):
    """The text of /readyz while it is red; /healthz is green all the time."""
    assert worker.get("/healthz") == (200, "ok\n")
    status, text = worker.get("/readyz")
    return text if status == 503 else ""


def test_the_database_comes_later(system):
    """No server, no database, no schema, then all of it: each said once, and no restart is needed."""
    late = Postgres(system.directory / "late")
    worker = system.worker(database_url=late.url("late"))
    try:
        until(lambda: not_ready(worker).count("Connection refused") == 3 and "kafka" not in not_ready(worker), 15, "no server")
        assert not_ready(worker).startswith("postgresql (intake): ")
        assert worker.metric("mms_worker_ready") == 0
        # It comes before the database does, and waits in Kafka.
        system.produce(system.event("early", "d"))
        late.start()
        until(lambda: not_ready(worker).count('database "late" does not exist') == 3, 15, "no database")
        late.create_database("late")
        until(lambda: not_ready(worker).count("run 'mms-worker migrate'") == 3, 15, "no schema")
        assert worker.metric("mms_events_read_total") == 0
        done = program("migrate", MMS_DATABASE_URL=late.url("late"))
        assert (done.returncode, done.stderr) == (0, "")
        late.psql("late", "insert into mms.destinations (id, config) values ('d', '{}')")
        worker.wait_ready(15)
        assert worker.get("/readyz") == (200, "ok\n")
        assert worker.metric("mms_worker_ready") == 1
        until_equal(lambda: late.psql("late", "select event_id, reason from mms.attempt_history"), "early|CONFIG_INVALID\n", 15)
        for room in ("intake", "pacer", "evidence"):
            said = changes(worker, f"postgresql ({room})")
            assert said[-1] is None and said.count(None) == 1
            assert all(a != b for a, b in zip(said, said[1:])), said
            assert 3 <= len(said) - 1 <= 4, said  # "starting up" may be seen in between
        assert worker.stop() == 0
    finally:
        worker.end()
        late.close()


def test_an_empty_database_is_waited_for(system):
    """Schema gone: /readyz says what to do, and migrate is all that it takes."""
    system.query("drop schema mms cascade")
    worker = system.worker()
    until(lambda: not_ready(worker).count("run 'mms-worker migrate'") == 3 and "kafka" not in not_ready(worker), 15, "no schema")
    system.migrate()
    worker.wait_ready(15)


def versions(database, system):
    """The migrations that a database says it has."""
    with contextlib.closing(system.postgres.connect(database)) as db, db.cursor() as cursor:
        cursor.execute("select version from mms.schema_migrations order by 1")
        return [row[0] for row in cursor.fetchall()]


def test_migrations_are_applied_once(system):
    """Eight at once, and again after: each migration once, everybody content."""
    database = system.database + "_again"
    system.postgres.create_database(database)
    try:
        env = clean_env(MMS_DATABASE_URL=system.postgres.url(database))
        start = [
            subprocess.Popen([BIN / "mms-worker", "migrate"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(8)
        ]
        said = []
        for process in start:
            with process:
                try:
                    said.append((*process.communicate(timeout=30), process.returncode))
                finally:
                    process.kill()
        assert [status for _, _, status in said] == [0] * 8, said
        assert [complaint for _, complaint, _ in said] == [""] * 8
        applied = versions(database, system)
        assert applied == list(range(1, len(applied) + 1)) and applied
        lines = [line for out, _, _ in said for line in out.splitlines()]
        assert len([line for line in lines if line.startswith("applied ")]) == len(applied), lines
        assert lines.count(f"schema is at version {applied[-1]}") == 8
        again = program("migrate", MMS_DATABASE_URL=system.postgres.url(database))
        assert (again.returncode, again.stdout, again.stderr) == (0, f"schema is at version {applied[-1]}\n", "")
        assert versions(database, system) == applied
    finally:
        system.postgres.drop_database(database)


def test_a_database_newer_than_the_program(system):
    """migrate refuses with one line, and a worker doesn't touch it, until the version is its own again."""
    mine = versions(system.database, system)
    system.query("insert into mms.schema_migrations (version, name) values (9999, 'of the future')")
    done = system.migrate(check=False)
    check_line(done, 1, "migrate", "version 9999", "newer", "upgrade the program")
    assert done.stdout == ""
    system.destination("d")
    system.produce(system.event("e", "d"))
    worker = system.worker()
    until(lambda: not_ready(worker).count("9999, newer than this program's") == 3 and "kafka" not in not_ready(worker), 15, "red")
    assert system.states() == {} and worker.metric("mms_events_read_total") == 0
    system.query("delete from mms.schema_migrations where version = 9999")
    system.wait_states(accepted=1, timeout=15)
    assert versions(system.database, system) == mine


class Door:
    """A port that drops who comes while it is shut, and leads to a server when it is open."""

    def __init__(self, port, target):
        self.target = target
        self.dropped = 0
        self.open = False
        self._listener = socket.create_server(("127.0.0.1", port))
        self._pairs = []
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            ready, _, _ = select.select([self._listener, self._wake, *(s for pair in self._pairs for s in pair)], [], [])
            if self._wake in ready:
                return
            if self._listener in ready:
                self._take(self._listener.accept()[0])
            for pair in list(self._pairs):
                self._pass_on(pair, ready)

    def _take(self, client):
        if not self.open:
            client.close()
            self.dropped += 1
            return
        self._pairs.append((client, socket.create_connection(self.target)))

    def _pass_on(self, pair, ready):
        for source, sink in (pair, pair[::-1]):
            if source in ready and pair in self._pairs:
                try:
                    data = source.recv(65536)
                    sink.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    self._forget(pair)

    def _forget(self, pair):
        self._pairs.remove(pair)
        for end in pair:
            end.close()

    def close(self):
        self._waker.send(b"x")
        self._thread.join(10)
        for pair in list(self._pairs):
            self._forget(pair)
        for end in (self._listener, self._wake, self._waker):
            end.close()


def test_kafka_comes_later(system):
    """Nobody listens, then somebody who hangs up, then Kafka: a patient worker, one line for each change."""
    port = free_port()
    system.destination("d")
    system.produce(system.event("early", "d"))
    worker = system.worker(kafka_bootstrap_servers=f"127.0.0.1:{port}")
    until(lambda: "kafka: no broker can be reached" in not_ready(worker) and "postgresql" not in not_ready(worker), 15, "no Kafka")
    host, target = system.kafka.bootstrap.split(":")
    with contextlib.closing(Door(port, (host, int(target)))) as door:
        until(lambda: door.dropped >= 3, 20, "three more tries")
        assert "kafka: no broker can be reached" in not_ready(worker)
        said = changes(worker, "kafka")
        assert len(said) == 1 and said[0].startswith("no broker can be reached: "), said
        door.open = True
        system.wait_states(accepted=1, timeout=20)
        worker.wait_ready(15)
        assert changes(worker, "kafka")[-1] is None
        assert [result["event_id"] for result in system.results(1)] == ["early"]
        assert worker.stop() == 0


def test_kafka_away_doesnt_keep_a_worker_from_stopping(system):
    """SIGTERM while neither Kafka nor the database was ever there: a clean and quick end."""
    worker = system.worker(
        kafka_bootstrap_servers=f"127.0.0.1:{free_port()}", database_url=f"postgresql://postgres@127.0.0.1:{free_port()}/mms"
    )
    until(lambda: "kafka: no broker can be reached" in not_ready(worker), 15, "no Kafka")
    assert worker.stop(timeout=15) == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("password", ["hunter2/and-more", "hunter2@and-more", "hunter2@and/more"])
def test_a_password_that_splits_a_uri(password):
    """Its parts would be the port, the host or the name, which are shown: refused, without them."""
    url = f"postgresql://bob:{password}@db.example.com/mms"
    done = program("attempts", MMS_DATABASE_URL=url)
    check_line(done, 2, "MMS_DATABASE_URL", "%2F %40")
    assert "hunter2" not in done.stderr and "more" not in done.stderr
