"""The embedded broker (tests/broker), with the same manners as kafka.Kafka."""

from pathlib import Path

from .client import Client
from .process import Process


class Broker(Client):
    """A running mms-broker.

    binary  the built program
    dir     its log goes there
    topics  {name: partitions} to create before it says where it is
    In memory: stop() loses everything, and the next start() has another port. A context manager starts and stops.
    """

    def __init__(self, binary, dir, topics=None):
        self.binary = Path(binary).resolve()
        self.dir = Path(dir).resolve()
        self.topics = dict(topics or {})
        self.bootstrap = None
        self._process = None

    @property
    def pid(self):
        """Of the broker."""
        return self._process.pid

    @property
    def alive(self):
        """Whether it runs."""
        return self._process is not None and self._process.alive

    def start(self, timeout=10.0):
        """Starts it and waits until it says where it listens."""
        if self.alive:
            return self
        argv = [self.binary]
        for name, partitions in self.topics.items():
            argv += ["--topic", f"{name}:{partitions}"]
        self._process = Process(argv, log_path=self.dir / "broker.log")
        greeting = "listening on "
        self.bootstrap = self._process.wait_for_log(greeting, timeout).removeprefix(greeting)
        return self

    def create_topic(self, name, partitions, config=None):
        """Not possible: the embedded broker has no admin API."""
        raise NotImplementedError(f"the embedded broker makes topics only at its start: topics={{{name!r}: {partitions}}}")

    def stop(self, timeout=10.0):
        """Stops it; returns its exit status."""
        self.close_client()
        return self._process.stop(timeout=timeout) if self._process is not None else None

    def kill(self):
        """Ends it with SIGKILL."""
        if self._process is not None:
            self._process.kill()

    close = stop

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, kind, error, trace):
        self.close_client()
        self.kill()
