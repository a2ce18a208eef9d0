"""Produces the records of a plan, each at its time, through whatever happens to Kafka."""

import logging
import threading
import time

from confluent_kafka import Producer as KafkaProducer

_silent = logging.getLogger("chaos.kafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class Producer:
    """Begins at once, in a thread. A record may get into the topic twice, when Kafka dies before it answers."""

    def __init__(self, bootstrap, topic, records):
        self._topic = topic
        self._records = records
        self._stopped = threading.Event()
        self._failed = None
        self.acknowledged = 0
        self._producer = KafkaProducer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "linger.ms": 5,
                "message.timeout.ms": 600_000,
                "retry.backoff.ms": 100,
                "reconnect.backoff.max.ms": 500,
                "logger": _silent,
            }
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def done(self):
        """Whether Kafka has everything."""
        return self.acknowledged == len(self._records)

    def check(self):
        """Raises if something can't be produced any more."""
        if self._failed:
            raise RuntimeError(f"the producer has failed: {self._failed}")

    def close(self):
        self._stopped.set()
        self._thread.join()

    def _run(self):
        try:
            begun = time.monotonic()
            for record in self._records:
                while (left := begun + record.at - time.monotonic()) > 0 and not self._stopped.is_set():
                    self._producer.poll(min(left, 0.1))
                if self._stopped.is_set():
                    return
                self._produce(record)
            while not self.done and not self._failed and not self._stopped.is_set():
                self._producer.poll(0.1)
        except Exception as error:  # what check() tells the main thread
            self._failed = error

    def _produce(self, record):
        while True:
            try:
                place = {"topic": self._topic, "partition": record.partition}
                self._producer.produce(**place, value=record.value, key=record.key, on_delivery=self._delivered)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _delivered(self, error, _message):
        if error:
            self._failed = error
        else:
            self.acknowledged += 1
