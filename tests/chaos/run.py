"""One run: servers, workers, events, disturbances; then quiet, and the count."""

import contextlib
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from harness import BIN

from . import checks, facts, plan, report
from .disturb import Disturber
from .producer import Producer
from .settle import wait_settled
from .workers import Workers
from .world import ChaosSystem, prepare, start_servers

WORKERS = 3  # at the beginning and in the end
TICK = 0.02  # seconds
OVERTIME = 240  # seconds, for what the disturbed phase has begun
LOOK_INTERVAL = 1.0  # seconds, for the workers' memory
SAY_INTERVAL = 10.0
SANITIZED_MIB = 1500  # what AddressSanitizer may add: it keeps what was freed


def _sanitized():
    return b"__asan_init" in (BIN / "mms-worker").read_bytes()


class Timeline:
    """What happened when: into a file, and to whoever listens."""

    def __init__(self, path, listen=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "w", encoding="utf-8")
        self._listen = listen
        self._lock = threading.Lock()
        self._begun = time.monotonic()

    def say(self, text):
        with self._lock:
            line = f"{time.monotonic() - self._begun:7.1f} s  {text}"
            print(time.strftime("%H:%M:%S"), line, file=self._file, flush=True)
            if self._listen:
                self._listen(line)

    def close(self):
        self._file.close()


@dataclass
class Run:
    """The state of a run; `complaints` is empty if all was well."""

    decided: plan.Plan
    say: object
    complaints: list = field(default_factory=list)
    seconds: dict = field(default_factory=dict)
    hits: dict = field(default_factory=dict)
    facts: object = None
    system: object = None
    workers: object = None
    disturber: object = None
    producer: object = None

    @contextlib.contextmanager
    def _phase(self, name):
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - begun

    def _blame(self, kind, error):
        self.complaints.append(checks.Complaint(kind, str(error)))
        self.say(f"WRONG (seed={self.decided.seed}): {kind}: {error}")

    def everything(self, directory):
        """From nothing to nothing. What can't go on raises; what is wrong is in `complaints`."""
        with contextlib.ExitStack() as stack:
            with self._phase("to_start"):
                foreign = self._start(stack, directory)
            try:
                with self._phase("disturbed"):
                    self._disturb()
                with self._phase("to_settle"):
                    self._settle()
            except AssertionError as error:
                self._blame(type(error).__name__, error)
                self._quieten()
            with self._phase("to_check"):
                self._check(foreign)

    def _start(self, stack, directory):
        postgres, kafka = start_servers(stack, directory)
        self.system = stack.enter_context(ChaosSystem(postgres, kafka, directory))
        foreign = prepare(self.system, self.decided)
        self.system.sim.seed(self.decided.sim_seed)
        for rule in plan.fault_rules(self.decided.scale):
            self.system.sim.fault(**rule)
        for steps, arguments in plan.life_rules():
            self.system.sim.life(*steps, **arguments)
        self.workers = Workers(self.system, self.say)
        self.workers.start(WORKERS)
        for worker in self.workers.running:
            worker.wait_ready()
        self.disturber = Disturber(self.system, self.workers, self.say)
        stack.callback(self.disturber.close)
        self.producer = Producer(kafka.bootstrap, self.system.events_topic, self.decided.records)
        stack.callback(self.producer.close)
        return foreign

    def _disturb(self):
        begun = looked = said = time.monotonic()
        todo = deque(self.decided.disturbances)
        duration = self.decided.scale.seconds
        self.say(f"{len(todo)} disturbances and {len(self.decided.records)} records within {duration:.0f} s")
        while True:
            now = time.monotonic()
            while todo and begun + todo[0].at <= now:
                self.disturber.begin(todo.popleft())
            busy = self.disturber.busy
            self.workers.look()
            self.producer.check()
            if now >= looked + LOOK_INTERVAL:
                looked = now
                self.workers.measure()
            if now >= said + SAY_INTERVAL:
                said = now
                self._progress()
            if not (todo or busy or self.workers.busy) and self.producer.done and now >= begun + duration:
                return
            if now >= begun + duration + OVERTIME:
                raise AssertionError(f"the disturbances have not ended: {self.producer.acknowledged} records produced")
            time.sleep(TICK)

    def _progress(self):
        stats = self.system.sim.stats()
        self.say(
            f"{self.producer.acknowledged} records, {stats['requests']} requests at Twilio,"
            f" {stats['messages']} messages, {len(self.workers.running)} workers"
        )

    def _settle(self):
        self._quieten()
        self.workers.scale(WORKERS, kill=False)
        self.say(f"quiet; {len(self.workers.running)} workers")
        wait_settled(self.system, self.decided, self.workers, self.say)
        self.say("settled")
        for worker in list(self.workers.running):
            self.workers.stop(worker)
        while self.workers.busy:
            self.workers.look()
            time.sleep(TICK)

    def _quieten(self):
        self.hits = self.hits or report.fault_hits(self.system.sim.faults())
        self.system.sim.clear()

    def _check(self, foreign):
        try:
            self.system.check_workers()
        except AssertionError as error:
            self._blame("sanitizer", error)
        self.facts = facts.gather(self.system, self.decided, foreign)
        self.complaints += checks.check_all(self.facts)
        limit = SANITIZED_MIB if _sanitized() else checks.RSS_LIMIT_MIB
        self.complaints += checks.check_memory(self.workers.rss_mib, limit)

    def figures(self):
        counts = self.disturber.counts if self.disturber else Counter()
        return report.figures(self.decided, self.facts, self.hits, counts, self.workers, self.seconds, self.complaints)


def run(decided, directory, listen=None):
    """Runs a plan; returns the Run. Logs are in the directory."""
    timeline = Timeline(directory / "timeline.log", listen)
    try:
        whole = Run(decided, timeline.say)
        whole.everything(directory)
        return whole
    finally:
        timeline.close()
