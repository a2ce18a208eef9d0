"""PostgreSQL that takes TLS alone: sslmode=verify-full, passwords, client certificates; and large answers over TLS."""

import datetime
import shutil

import pytest
from psycopg2.extensions import make_dsn

from harness import BUILD
from harness.certificates import Authority
from harness.postgres import Postgres, server_user
from harness.process import temp_dir
from harness.system import LOGINS
from harness.tls_front import TlsFront
from harness.wait import until

PASSWORD = "a-very-secret-database-password"
WORKER = LOGINS["worker"][0]
CLIENT = "a_client"  # comes with a certificate instead of a password
BEHIND = "a_worker_behind"  # something that ends TLS
HBA = f"""\
local   all all      trust
host    all {BEHIND} all trust
hostssl all postgres all trust
hostssl all {CLIENT} all cert
hostssl all all      all scram-sha-256
"""
SOON = datetime.timedelta(hours=1)


@pytest.fixture(scope="module")
def files():
    return temp_dir("mms-tls-", server_user())


@pytest.fixture(scope="module")
def authority(files):
    return Authority(files)


class SecurePostgres(Postgres):
    """Takes connections over TLS alone. show() changes its certificate for connections to come."""

    def __init__(self, dir, files, authority):
        self._files = files
        self._good = authority.issue()
        authority.path.chmod(0o644)
        (files / "hba.conf").write_text(HBA)
        (files / "hba.conf").chmod(0o644)
        settings = {"ssl": "on", "ssl_cert_file": files / "shown.pem", "ssl_key_file": files / "shown.key"}
        super().__init__(dir, {**settings, "ssl_ca_file": authority.path, "hba_file": files / "hba.conf"})
        self._place(self._good)

    def _place(self, certificate):
        user = server_user()
        for source, name in ((certificate.certificate, "shown.pem"), (certificate.key, "shown.key")):
            shutil.copyfile(source, self._files / name)
            (self._files / name).chmod(0o600)
            if user is not None:
                shutil.chown(self._files / name, user.pw_uid, user.pw_gid)

    def show(self, certificate=None):
        """None: the good one."""
        self._place(certificate or self._good)
        self.psql("postgres", "select pg_reload_conf()")


@pytest.fixture(scope="module")
def postgres(files, authority):
    with SecurePostgres(BUILD / "test" / "secure" / "postgres", files, authority) as server:
        yield server


@pytest.fixture
def dsn(system, postgres, authority, tmp_path):
    """How a worker gets in; changes are libpq's own options."""
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    passwords.write_text(f"*:*:*:{WORKER}:{PASSWORD}\n")
    system.query(f"alter role {WORKER} password '{PASSWORD}'")
    for name in (CLIENT, BEHIND):
        if not system.query("select 1 from pg_roles where rolname = %s", name):
            system.query(f"create role {name} login in role mms_worker")
    parts = {"sslmode": "verify-full", "sslrootcert": authority.path, "channel_binding": "require", "passfile": passwords}

    def make(**changes):
        url = postgres.url(system.database, changes.pop("user", WORKER)).replace(postgres.host, "localhost")
        return make_dsn(url, **{name: value for name, value in {**parts, **changes}.items() if value is not None})

    return make


def not_ready(worker, words, timeout=15):
    """Waits until /readyz says so of each connection; the log has it too, and nobody's password."""
    until(lambda: worker.get("/readyz")[1].count(words) == 3, timeout, lambda: f"{words}; {worker.get('/readyz')}")
    assert any(words in line.get("reason", "") for line in worker.log_lines("not ready, trying again"))
    assert PASSWORD not in worker.log_text() and worker.alive


@pytest.mark.timeout(60)
def test_an_event_over_verified_tls(system, dsn):
    """SCRAM bound to the channel, the password from a file; every connection of the worker is encrypted."""
    system.destination("d")
    worker = system.worker(database_url=dsn()).wait_ready()
    system.produce(system.event("e", "d"))
    system.wait_states(accepted=1)
    sessions = system.query(
        "select s.ssl, s.version from pg_stat_ssl s join pg_stat_activity a using (pid) where a.usename = %s", WORKER
    )
    assert len(sessions) >= 3 and {(session["ssl"], session["version"]) for session in sessions} == {(True, "TLSv1.3")}
    assert system.command("check", database_url=dsn()).status == 0
    assert PASSWORD not in worker.log_text()


@pytest.mark.timeout(120)
def test_whoever_can_not_be_believed(system, postgres, dsn, authority, tmp_path):
    """
    The server's certificate, or what we have to show, is wrong in every way: /readyz, log and `check` say which, the
    worker stays, and is ready by itself once it is right.
    """
    stranger = Authority(tmp_path, "stranger").path
    refused = {
        "certificate verify failed": dict(sslrootcert=stranger),
        f'root certificate file "{tmp_path}/none" does not exist': dict(sslrootcert=tmp_path / "none"),
        "password authentication failed": dict(password="wrong"),
        "no encryption": dict(sslmode="disable", channel_binding=None),
        "connection requires a valid client certificate": dict(user=CLIENT, channel_binding=None),
    }
    workers = {words: system.worker(database_url=dsn(**changes)) for words, changes in refused.items()}
    for words, worker in workers.items():
        not_ready(worker, words)
        found = system.command("check", "--json", database_url=dsn(**refused[words]))
        assert [row["detail"] for row in found.rows() if words in row["detail"] and row["result"] == "failed"], found.out
        assert worker.stop() == 0
    worker = system.worker(database_url=dsn()).wait_ready()
    for words, certificate in {
        'does not match host name "localhost"': authority.issue(hosts=["db.example.com"]),
        "certificate verify failed": authority.issue(ends=-SOON),
    }.items():
        postgres.show(certificate)
        system.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", WORKER)
        not_ready(worker, words)
        postgres.show()
        worker.wait_ready(15)


@pytest.mark.timeout(60)
def test_a_client_certificate(system, dsn, authority):
    """Instead of a password: sslcert and sslkey in the connection string."""
    own = authority.issue(CLIENT, hosts=())
    system.destination("d")
    system.worker(database_url=dsn(user=CLIENT, channel_binding=None, sslcert=own.certificate, sslkey=own.key)).wait_ready()
    system.produce(system.event("e", "d"))
    system.wait_states(accepted=1)


# ---- much at a time ----


def begin_tls(near):
    """What a PostgreSQL server does before TLS begins."""
    assert near.recv(8)[4:] == b"\x04\xd2\x16\x2f"
    near.sendall(b"S")


@pytest.mark.timeout(120)
def test_large_statements_and_answers(system, dsn):
    """Events of up to 1 MiB, several at a time, go in and come back in claims."""
    sizes = [1000, 8192, 16384, 100_000, *range(1_000_000, 1_040_000, 4_000)]
    for n, _ in enumerate(sizes):
        system.destination(f"d{n}", to=f"+155577700{n:02}", body_template="{{event_id}}")
    worker = system.worker(database_url=dsn()).wait_ready()
    for part in range(2):
        system.produce_many(system.event(f"e{n}-{part}", f"d{n}", message="x" * size) for n, size in enumerate(sizes))
    system.wait_states(accepted=2 * len(sizes), timeout=60)
    assert worker.metric("mms_postgresql_connections_total") <= 4


@pytest.mark.timeout(120)
def test_nothing_lies_in_the_tls_layer_unread(system, postgres, authority, dsn):
    """
    Who ends TLS before PostgreSQL, and its later versions, send records of 16 KiB; libpq takes as much of one as it has
    room for, and the socket says nothing about the rest. Rows of every size come, each time as the last words.
    """
    sizes = range(5000, 16000, 500)
    for n in range(3):
        system.destination(f"d{n}", to=f"+1555777000{n}", body_template="{{event_id}}")
    server = f"postgres://{postgres.host}:{postgres.port}"
    with TlsFront(server, authority.issue(), begin_tls, gather=0.002) as front:
        worker = system.worker(database_url=dsn(port=front.port, user=BEHIND, channel_binding=None)).wait_ready()
        for size in sizes:
            for n in range(3):
                system.destination(f"d{size}-{n}", to=f"+1{size:05}7770{n:02}", body_template="{{event_id}}")
            system.produce_many(system.event(f"e{size}-{n}", f"d{size}-{n}", message="x" * size) for n in range(3))
            until(lambda: system.states() == {"accepted": 3 * (sizes.index(size) + 1)}, 10, f"events of {size} bytes")
        assert worker.metric("mms_postgresql_connections_total") <= 4
        assert worker.stop() == 0
