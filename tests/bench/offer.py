"""A producer that keeps a rate, and notes when Kafka has acknowledged each event."""

import logging
import threading
import time

from confluent_kafka import Producer

from .world import event

_TICK = 0.002  # seconds; what is due within one goes out together

_silent = logging.getLogger("bench.kafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class Offer:
    """Produces events for destinations, in turn, at `rate` a second for `seconds`. Begins at once, in a thread.

    destinations  numbers, gone through again and again
    tag           begins the events' ids
    linger_ms     0: each event goes out at once; more spares Kafka small requests
    acked         {event_id: moment of Kafka's acknowledgement}
    """

    def __init__(self, system, destinations, rate, seconds, tag="offer", linger_ms=0):
        self.rate = rate
        self.count = int(rate * seconds)
        self.acked = {}
        self._system = system
        self._destinations = destinations
        self._tag = tag
        self._done = False
        self._failed = None
        self._producer = Producer(
            {
                "bootstrap.servers": system.kafka.bootstrap,
                "linger.ms": linger_ms,
                "socket.nagle.disable": True,
                "logger": _silent,
            }
        )
        self._producer.list_topics(system.events_topic, timeout=10)  # connects before it counts
        self.begun = time.time()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._produce, self._poll)]
        for thread in self._threads:
            thread.start()

    @property
    def seconds(self):
        return self.count / self.rate

    def wait_until(self, seconds):
        """Sleeps until so many seconds after the beginning."""
        time.sleep(max(0.0, self.begun + seconds - time.time()))

    def finish(self):
        """Waits until everything is acknowledged."""
        for thread in self._threads:
            thread.join()
        if self._failed or len(self.acked) != self.count:
            raise RuntimeError(f"{self.count - len(self.acked)} events were not taken by Kafka: {self._failed}")
        return self

    def _produce(self):
        number = 0
        start = time.monotonic()
        while number < self.count:
            due = min(self.count, int((time.monotonic() - start) * self.rate) + 1)
            for number in range(number, due):
                self._one(number)
            number = due
            time.sleep(max(_TICK, start + number / self.rate - time.monotonic()))
        self._producer.flush(30)
        self._done = True

    def _one(self, number):
        event_id = f"{self._tag}-{number:07}"
        value = event(event_id, self._destinations[number % len(self._destinations)])
        self._producer.produce(self._system.events_topic, value, event_id, on_delivery=self._delivered)

    def _poll(self):
        """A thread of its own: an acknowledgement is noted when it comes, not at the next event."""
        while not self._done:
            self._producer.poll(0.05)

    def _delivered(self, error, message):
        if error:
            self._failed = error
        else:
            self.acked[message.key().decode()] = time.time()
