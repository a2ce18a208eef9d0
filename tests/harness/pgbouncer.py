"""A PgBouncer in front of a throwaway PostgreSQL."""

import shutil
import signal
from pathlib import Path

import psycopg2

from . import Unavailable, wait
from .postgres import SUPERUSER, server_user
from .process import Process, free_port, remove_dir, temp_dir

_INI = """\
[databases]
* = host={server_host} port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = {superuser}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
"""


class PgBouncer:
    """A PgBouncer of its own on a free port of 127.0.0.1: transaction pooling, no password, any database of the server.

    postgres   a running Postgres
    dir        its log goes there
    pool_size  connections to the server for each database and user
    users      who may come
    Not running until start(); a context manager starts and closes.
    """

    def __init__(self, postgres, dir, pool_size=3, users=()):
        self.host = "127.0.0.1"
        self.port = free_port()
        self._binary = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if self._binary is None:
            raise Unavailable("PgBouncer isn't installed; try: tests/install-packages test")
        self._log_path = Path(dir) / "pgbouncer.log"
        self._user = server_user()  # it refuses root, as PostgreSQL does
        self._process = None
        self._home = temp_dir("mms-bouncer-", self._user)
        self._ini = self._home / "pgbouncer.ini"
        userlist = self._home / "users.txt"
        userlist.write_text("".join(f'"{user}" ""\n' for user in (SUPERUSER, *users)), encoding="ascii")
        userlist.chmod(0o644)
        server = {"users": userlist, "server_host": postgres.host, "server_port": postgres.port, "superuser": SUPERUSER}
        self._ini.write_text(_INI.format(**server, port=self.port, pool_size=pool_size), encoding="ascii")
        self._ini.chmod(0o644)

    @property
    def alive(self):
        """Whether it runs."""
        return self._process is not None and self._process.alive

    def start(self, timeout=10.0):
        """Starts it and waits until it answers."""
        if not self.alive:
            argv = [self._binary, self._ini]
            self._process = Process(argv, log_path=self._log_path, cwd=self._home, as_user=self._user)
            wait.until(self._answers, timeout, "PgBouncer to answer", ignore=(psycopg2.OperationalError,))
        return self

    def _answers(self):
        if not self._process.alive:
            raise RuntimeError(f"PgBouncer did not start:\n{self._process.log_tail()}")
        psycopg2.connect(self.url("pgbouncer")).close()
        return True

    def stop(self, timeout=10.0):
        """Stops it at once, whatever its clients are doing (SIGTERM is its immediate shutdown)."""
        if self._process is not None:
            self._process.stop(signal.SIGTERM, timeout)

    def restart(self):
        """stop() and start(), on the same port."""
        self.stop()
        return self.start()

    def close(self):
        """Stops it and removes its files. The log stays."""
        try:
            if self._process is not None:
                self._process.end()
        finally:
            remove_dir(self._home)

    def url(self, dbname, user=SUPERUSER):
        """How to reach a database of the server through it."""
        return f"postgresql://{user}@{self.host}:{self.port}/{dbname}"

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, error, trace):
        self.close()
