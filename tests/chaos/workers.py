"""The workers of a run: started, killed, stopped and continued; none may end by itself."""

import re
import signal
import time
from collections import Counter
from pathlib import Path

STOP_LIMIT = 40  # seconds from SIGTERM to the end: an exchange, 10 s, the results, and a slow machine


class Died(AssertionError):
    """A worker has ended by itself, or not when it was asked to."""


class Workers:
    """Those that run now, in the order of their start, and what became of the others."""

    def __init__(self, system, say):
        self._system = system
        self._say = say
        self._names = {}
        self._leaving = {}  # worker: when it was asked to end
        self._frozen = {}  # worker: when it goes on
        self.running = []  # stopped ones among them
        self.servers_away_at = 0.0  # when a server was last away or a connection cut, kept by the caller
        self.rss_mib = {}  # name: the most it ever had
        self.counts = Counter()

    def name(self, worker):
        return self._names[worker]

    def start(self, count=1):
        for _ in range(count):
            worker = self._system.chaos_worker()
            self._names[worker] = f"worker {len(self._names)}"
            self.running.append(worker)
            self.counts["started"] += 1
        return self.running[-1]

    def choose(self, pick):
        """One that runs; a stopped one only if there is no other."""
        able = [worker for worker in self.running if worker not in self._frozen] or self.running
        return able[int(pick * len(able))]

    def kill(self, worker):
        self._measure(worker)
        self._forget(worker)
        worker.kill()
        self.counts["killed"] += 1

    def stop(self, worker):
        """Asks it to end; look() sees that it does. A stopped one goes on first."""
        self._go_on(worker)
        self._forget(worker)
        worker.send_signal(signal.SIGTERM)
        self._leaving[worker] = time.monotonic()
        self.counts["stopped"] += 1

    def freeze(self, worker, seconds):
        if worker in self._frozen:
            self._frozen[worker] = max(self._frozen[worker], time.monotonic() + seconds)
            return
        worker.send_signal(signal.SIGSTOP)
        self._frozen[worker] = time.monotonic() + seconds
        self.counts["frozen"] += 1

    def scale(self, count, kill):
        """To so many; those that are too many are killed or asked to end."""
        self.start(max(0, count - len(self.running)))
        while len(self.running) > count:
            (self.kill if kill else self.stop)(self.running[0])

    @property
    def busy(self):
        """Whether somebody is still stopped, or on the way out."""
        return bool(self._frozen or self._leaving)

    def look(self):
        """Lets stopped ones go on when it is time. Raises Died."""
        now = time.monotonic()
        for worker in [worker for worker, until in self._frozen.items() if now >= until]:
            self._go_on(worker)
        for worker in self.running:
            if not worker.alive:
                raise Died(f"{self.name(worker)} has ended by itself with {worker.returncode}: {_end_of_log(worker)}")
        for worker, asked in list(self._leaving.items()):
            if not worker.alive:
                self._left(worker, asked)
            elif now > asked + STOP_LIMIT:
                raise Died(f"{self.name(worker)} has not ended {STOP_LIMIT} s after SIGTERM: {_end_of_log(worker)}")

    def measure(self):
        for worker in [*self.running, *self._leaving]:
            self._measure(worker)

    def _left(self, worker, asked):
        """0; or 1 if it may have had good reason not to finish; or the signal's own if it had hardly begun."""
        del self._leaving[worker]
        if worker.returncode == 0 or (worker.returncode == -signal.SIGTERM and not worker.log_lines("running")):
            return
        if worker.returncode != 1 or self.servers_away_at < asked:
            raise Died(f"{self.name(worker)} has ended with {worker.returncode} after SIGTERM: {_end_of_log(worker)}")
        self.counts["stopped unfinished"] += 1
        self._say(f"{self.name(worker)} has ended without finishing, a server was away")

    def _go_on(self, worker):
        if self._frozen.pop(worker, None) is not None:
            worker.send_signal(signal.SIGCONT)

    def _forget(self, worker):
        self._frozen.pop(worker, None)
        self.running.remove(worker)

    def _measure(self, worker):
        try:
            status = Path(f"/proc/{worker.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        if peak:
            name = self.name(worker)
            self.rss_mib[name] = max(self.rss_mib.get(name, 0.0), int(peak[1]) / 1024)


def _end_of_log(worker):
    return worker.log_tail(5)
