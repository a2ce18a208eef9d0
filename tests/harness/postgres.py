"""A throwaway PostgreSQL cluster."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg2
from psycopg2.extensions import make_dsn

from . import Unavailable, wait
from .process import Process, clean_env, free_port, remove_dir, temp_dir

SUPERUSER = "postgres"
_SOCKET_PATH_LIMIT = 107  # bytes, from struct sockaddr_un
_STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def find_bin():
    """The directory with initdb and postgres: the newest in Debian's place, else where PATH has initdb."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path.parent.name)])
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    raise Unavailable("PostgreSQL's server isn't installed (no initdb); try: tests/install-packages test")


def server_user():
    """PostgreSQL refuses to run as root: the user that it runs as instead, or None when we aren't root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


class Postgres:
    """A cluster of its own on a free port of 127.0.0.1, superuser `postgres`, no password, UTF-8.

    dir       its log goes there, and its data too, unless the server's user can't reach it (root's home, mostly); then
              the data lie below /tmp. Data are removed by close(), the log stays.
    settings  postgresql.conf, over the defaults here
    fsync     False is faster, for tests that crash no machine
    Not running until start(); a context manager starts and closes.
    """

    def __init__(self, dir, settings=None, fsync=True):
        self.dir = Path(dir).resolve()
        self.host = "127.0.0.1"
        self.port = free_port()
        self._bin = find_bin()
        self._user = server_user()
        self._process = None
        self._home = None
        self._settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "max_connections": 200,
            "fsync": "on" if fsync else "off",
            "log_line_prefix": "%m [%p] %u@%d ",
            **(settings or {}),
        }

    @property
    def pid(self):
        """Of the postmaster."""
        return self._process.pid

    @property
    def alive(self):
        """Whether the server runs."""
        return self._process is not None and self._process.alive

    @property
    def socket_dir(self):
        """The directory of its unix socket, for libpq's host=."""
        return self._socket_dir

    def start(self, timeout=30.0):
        """Starts the server and waits until it takes connections. The first time makes the cluster."""
        if self.alive:
            return self
        if self._home is None:
            self._make_cluster()
        argv = [self._bin / "postgres", "-D", self._home / "data"]
        for name, value in self._settings.items():
            argv += ["-c", f"{name}={value}"]
        # SIGKILL would leave its shared memory behind; SIGQUIT, an immediate shutdown, does not.
        self._process = Process(
            argv, log_path=self.dir / "postgres.log", cwd=self._home, death_signal=signal.SIGQUIT, as_user=self._user
        )
        wait.until(self._answers, timeout, "PostgreSQL to take connections", ignore=(psycopg2.OperationalError,))
        return self

    def _answers(self):
        if not self._process.alive:
            raise RuntimeError(f"PostgreSQL did not start:\n{self._process.log_tail()}")
        self.connect("postgres").close()
        return True

    def _make_cluster(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        self._home = self._make_home()
        longest_socket = self._home / f".s.PGSQL.{self.port}"
        fits = len(os.fsencode(longest_socket)) <= _SOCKET_PATH_LIMIT
        self._socket_dir = self._home if fits else temp_dir("mms-pg-", self._user)
        self._settings.setdefault("unix_socket_directories", self._socket_dir)
        initdb = [self._bin / "initdb", "-D", self._home / "data", "-U", SUPERUSER, "--auth=trust", "--no-sync"]
        # No sync: the cluster is worthless until this has succeeded. Instructions: how to start it by hand.
        initdb += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        with Process(initdb, log_path=self.dir / "initdb.log", cwd=self._home, as_user=self._user) as process:
            if process.wait(60) != 0:
                raise RuntimeError(f"initdb failed:\n{process.log_tail()}")

    def _make_home(self):
        """A fresh directory that the server's user owns and can reach."""
        home = self.dir / "pg"
        remove_dir(home)
        home.mkdir(mode=0o700)
        if self._user is None:
            return home
        os.chown(home, self._user.pw_uid, self._user.pw_gid)
        if self._can_write(home):
            return home
        home.rmdir()
        return temp_dir("mms-pg-", self._user)

    def _can_write(self, path):
        probe = ["setpriv", "--reuid", str(self._user.pw_uid), "--regid", str(self._user.pw_gid), "--clear-groups"]
        probe += ["test", "-w", str(path)]
        return subprocess.run(probe, cwd="/", check=False).returncode == 0

    def stop(self, mode="fast", timeout=30.0):
        """Stops the server: "smart", "fast" or "immediate" (as if it had crashed). Data stay; start() goes on with them."""
        if self._process is not None:
            self._process.stop(_STOP_SIGNALS[mode], timeout)

    def restart(self, mode="fast"):
        """stop(mode) and start(): same port, same data."""
        self.stop(mode)
        return self.start()

    def close(self):
        """Stops the server and removes its data. The log stays."""
        try:
            self.stop("immediate")
        finally:
            if self._home is not None:
                remove_dir(self._home)
                remove_dir(self._socket_dir)
                self._home = None

    def url(self, dbname="postgres", user=SUPERUSER):
        """How to reach a database over TCP."""
        return f"postgresql://{user}@{self.host}:{self.port}/{dbname}"

    def connect(self, dbname="postgres", **options):
        """A psycopg2 connection in autocommit mode. `options`: more of libpq's, such as application_name."""
        connection = psycopg2.connect(make_dsn(self.url(dbname), **options))
        connection.autocommit = True
        return connection

    def create_database(self, name):
        """Makes an empty database."""
        self._administer(f'CREATE DATABASE "{name}"')

    def drop_database(self, name):
        """Removes a database, and whoever is connected to it; fine if there is none."""
        self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _administer(self, statement):
        with contextlib.closing(self.connect()) as connection:
            connection.cursor().execute(statement)

    def psql(self, dbname, sql):
        """Runs SQL (psql's own commands too) and returns what psql printed: unaligned, rows only. An error raises."""
        argv = [str(self._bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url(dbname)]
        done = subprocess.run(argv, input=sql, text=True, capture_output=True, env=clean_env(), check=False)
        if done.returncode != 0:
            raise RuntimeError(f"psql failed ({done.returncode}): {done.stderr.strip()}")
        return done.stdout

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, error, trace):
        self.close()
