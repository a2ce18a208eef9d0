"""Processes that can't outlive us, directories that can't either, and free ports.

Three nets, each for what the one before it can't catch: stop() and context managers; atexit; and for a Python process
that is killed, the death signal (PR_SET_PDEATHSIG) plus the reaper (reaper.py).
"""

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from . import SANITIZED, wait

# Variables that would change what a server or the worker under test does behind a test's back.
_FOREIGN_PREFIXES = ("MMS_", "PG")
_FOREIGN_NAMES = {name + "_proxy" for name in ("http", "https", "all", "no")}


def clean_env(**extra):
    """This process' environment without MMS_*, PG* and proxy settings, in the C.UTF-8 locale, plus `extra`."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN_PREFIXES) and name.lower() not in _FOREIGN_NAMES
    }
    env["LC_ALL"] = "C.UTF-8"
    if SANITIZED:
        env["MMS_CORE_DUMPS"] = "true"  # LeakSanitizer looks into its process as a debugger does
    env.update({name: str(value) for name, value in extra.items()})
    return env


class _Registry:
    """What has to be gone when this Python process ends; the reaper knows the same."""

    def __init__(self):
        self._lock = threading.RLock()
        self._owner = None
        self._reaper = None
        self.processes = {}
        self.paths = set()

    def add_process(self, process):
        with self._lock:
            self._tell(f"start {process.pid} {int(process.death_signal)}")
            self.processes[process.pid] = process

    def remove_process(self, pid):
        with self._lock:
            if self.processes.pop(pid, None):
                self._tell(f"end {pid}")

    def add_path(self, path):
        with self._lock:
            self._tell(f"make {path}")
            self.paths.add(path)

    def remove_path(self, path):
        with self._lock:
            if path in self.paths:
                self.paths.discard(path)
                self._tell(f"drop {path}")

    def _tell(self, line):
        # A forked child (multiprocessing) shares our pipe but none of our processes.
        if self._owner is None:
            self._start()
        if self._owner == os.getpid():
            self._reaper.stdin.write(line + "\n")
            self._reaper.stdin.flush()

    def _start(self):
        self._owner = os.getpid()
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            text=True,
        )
        atexit.register(self._finish)

    def _finish(self):
        if self._owner != os.getpid():
            return
        for process in list(self.processes.values()):
            process.end()
        for path in list(self.paths):
            remove_dir(path)
        self._reaper.stdin.close()
        self._reaper.wait()


_registry = _Registry()


def live():
    """The processes started here that still run: for a check after each test that nothing was left."""
    return [process for process in list(_registry.processes.values()) if process.alive]


def temp_dir(prefix="mms-", owner=None):
    """A new directory with a short path below /tmp, removed at our end at the latest. `owner`: pwd entry to give it to."""
    path = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
    _registry.add_path(path)
    if owner is not None:
        os.chown(path, owner.pw_uid, owner.pw_gid)
    return Path(path)


def remove_dir(path):
    """Removes a directory, from temp_dir() or not; one that is gone already is fine."""
    shutil.rmtree(path, ignore_errors=True)
    _registry.remove_path(str(path))


class Process:
    """A running program: own session, output appended to a log file, killed when this Python process ends.

    argv          the program and its arguments; as_user below needs root
    env           its whole environment; None: clean_env()
    log_path      where stdout and stderr go; the directory is made. None: nowhere
    death_signal  what ends it at once should we die; for programs that leave something behind after SIGKILL
    as_user       a pwd entry: drop root for this user
    """

    def __init__(self, argv, env=None, log_path=None, cwd=None, death_signal=signal.SIGKILL, as_user=None, name=None):
        self.argv = [str(part) for part in argv]
        self.name = name or Path(self.argv[0]).name
        self.log_path = Path(log_path) if log_path else None
        self.death_signal = death_signal
        program = shutil.which(self.argv[0])
        if program is None:
            raise FileNotFoundError(f"no program '{self.argv[0]}'")
        with self._open_log() as log:
            self._log_start = log.tell() if self.log_path else 0
            self._popen = subprocess.Popen(
                self._launcher(as_user) + [program] + self.argv[1:],
                env=clean_env() if env is None else env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        _registry.add_process(self)

    def _open_log(self):
        if self.log_path is None:
            return open(os.devnull, "wb")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        log = open(self.log_path, "ab")
        log.seek(0, os.SEEK_END)
        return log

    def _launcher(self, as_user):
        """setpriv(1) becomes the program; unlike a preexec_fn it is safe with threads (librdkafka's, for one) around."""
        options = []
        # The death signal comes when the starting *thread* ends. Elsewhere than in the main one that would be a trap.
        if threading.current_thread() is threading.main_thread():
            options += ["--pdeathsig", signal.Signals(self.death_signal).name]
        if as_user is not None:
            options += ["--reuid", str(as_user.pw_uid), "--regid", str(as_user.pw_gid), "--clear-groups"]
        return ["setpriv"] + options + ["--"] if options else []

    @property
    def alive(self):
        """Whether it runs."""
        return self.returncode is None

    @property
    def returncode(self):
        """None while it runs, then its exit status (or minus the signal that ended it)."""
        code = self._popen.poll()
        if code is not None:
            self._ended()
        return code

    def _ended(self):
        """Its leader is gone: end what it may have left in its group, and forget it."""
        if self.pid in _registry.processes:
            self._signal_group(signal.SIGKILL)
            _registry.remove_process(self.pid)

    def _signal_group(self, number):
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def send_signal(self, number):
        """Sends a signal to the process itself; nothing happens if it has ended."""
        self._popen.send_signal(number)

    def wait(self, timeout=30.0):
        """Waits for its end; returns its exit status."""
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise wait.TimedOut(f"{self.name} has not ended within {timeout:g} s; its log ends:\n{self.log_tail()}") from None
        return self.returncode

    def stop(self, sig=signal.SIGTERM, timeout=15.0):
        """Asks it to end and returns its exit status. One that doesn't within `timeout` is killed: TimedOut."""
        self.send_signal(sig)
        try:
            return self.wait(timeout)
        finally:
            self.kill()

    def kill(self):
        """Ends it and its whole process group with SIGKILL; fine if it has ended."""
        if self._popen.poll() is None:
            self._signal_group(signal.SIGKILL)
            self._popen.wait()
        self._ended()

    def end(self, patience=5.0):
        """Ends it by its death signal, and by SIGKILL if that takes longer than `patience`; never raises for that."""
        self.send_signal(self.death_signal)
        try:
            self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def log_text(self):
        """What it has written since it was started (an earlier run's part of the same file is left out)."""
        if self.log_path is None:
            return ""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_tail(self, lines=20):
        """The end of log_text(), for error messages."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def wait_for_log(self, text, timeout=10.0):
        """Waits until it has written `text`; gives up at once when it ends without. Returns the first line with it."""

        def line_with_text():
            running = self.alive  # before the look, so that its last words count
            for line in self.log_text().splitlines():
                if text in line:
                    return line
            if not running:
                raise AssertionError(f"{self.name} ended ({self.returncode}) before {text!r}; log:\n{self.log_tail()}")
            return None

        return wait.until(line_with_text, timeout, lambda: f"{text!r} from {self.name}; its log ends:\n{self.log_tail()}")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None:
            self.stop()
        else:
            self.end()

    def __repr__(self):
        state = "running" if self.alive else f"ended ({self.returncode})"
        return f"<{self.name} {self.pid} {state}>"


# Below the range that outgoing connections take theirs from: a server that stops and starts again finds its port free.
_FIRST_PORT, _LAST_PORT = 12000, 32000
_port_claims = []


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on and that no other caller gets, here or in another test run."""
    for _ in range(1000):
        port = random.SystemRandom().randint(_FIRST_PORT, _LAST_PORT)
        if _claim(port) and _bindable(port):
            return port
    raise OSError("no free port found")


def _claim(port):
    """Reserves a port among test runs by an abstract socket name, which vanishes with this process."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0mms-worker-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _port_claims.append(claim)
    return True


def _bindable(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
