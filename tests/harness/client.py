"""Writing to and reading from a broker, the same for Apache Kafka and the embedded broker."""

import json
import logging
import time
import uuid
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from . import wait

MAX_MESSAGE_BYTES = 8 * 1024 * 1024

# While a test has its broker down, librdkafka complains on stderr twice a second.
_silent = logging.getLogger("harness.kafka")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


@dataclass(frozen=True)
class Record:
    """A message as it lies in a topic. headers: list of (name, bytes). timestamp: milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list
    timestamp: int

    def json(self):
        """The value, parsed."""
        return json.loads(self.value)


def _encode(value):
    """What produce() takes as a value: bytes, text, None (a tombstone), or else something to write as JSON."""
    if value is None or isinstance(value, (bytes, str)):
        return value
    return json.dumps(value)


def _record(message):
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        message.headers() or [],
        message.timestamp()[1],
    )


class Client:
    """What tests do with a broker. A subclass has `bootstrap`, and calls close_client() when the broker goes for good."""

    bootstrap = None
    _producer = None

    def _config(self, **extra):
        return {"bootstrap.servers": self.bootstrap, "logger": _silent, "reconnect.backoff.max.ms": 500, **extra}

    def close_client(self):
        """Forgets the connections that this side keeps."""
        self._producer = None

    def partitions(self, topic, timeout=10.0):
        """The partition numbers of a topic; waits for the topic to exist."""
        consumer = Consumer(self._config(**{"group.id": "harness"}))
        try:
            return self._partitions(consumer, topic, timeout)
        finally:
            consumer.close()

    def _partitions(self, consumer, topic, timeout):
        def look():
            found = consumer.list_topics(topic, timeout=timeout).topics[topic]
            return [] if found.error else sorted(found.partitions)

        return wait.until(look, timeout, f"topic {topic} to exist", ignore=(KafkaException,))

    def produce(self, topic, value, key=None, partition=-1, headers=None):
        """Writes one message and waits until the broker has it. Returns (partition, offset).

        value: bytes, text, None, or anything that JSON can express. partition -1: by the key, or any.
        """
        return self.produce_many(topic, [value], [key], partition, headers)[0]

    def produce_many(self, topic, values, keys=None, partition=-1, headers=None, timeout=60.0):
        """Writes many messages, in their order per partition; returns [(partition, offset)] in the order of `values`.

        Raises KafkaException for the first message that the broker has not taken; such messages are not sent later.
        """
        if self._producer is None:
            self._producer = Producer(self._producer_config())
        values = list(values)
        keys = [None] * len(values) if keys is None else list(keys)
        results = [None] * len(values)

        def report(index):
            def store(error, message):
                results[index] = error or (message.partition(), message.offset())

            return store

        for index, (value, key) in enumerate(zip(values, keys, strict=True)):
            self._enqueue(topic, _encode(value), key, partition, headers, report(index))
        self._producer.flush(timeout)
        for result in results:
            if not isinstance(result, tuple):
                self._producer.purge()
                self._producer = None
                raise KafkaException(result or KafkaError(KafkaError._MSG_TIMED_OUT, f"no report in {timeout:g} s"))
        return results

    def _producer_config(self):
        return self._config(
            **{
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # as Java's producers do
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "message.timeout.ms": 30000,
                "linger.ms": 1,
            }
        )

    def _enqueue(self, topic, value, key, partition, headers, on_delivery):
        while True:
            self._producer.poll(0)
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=on_delivery, headers=headers or [])
                return
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: let some of it be delivered

    def consume(self, topic, until=None, timeout=10.0):
        """Reads a topic, all partitions from their beginning, and returns a list of Records.

        until  how many records to wait for, or a predicate that gets the list so far; None: all there are now.
        Records beyond what was awaited may be in the list. In no group, so it disturbs nobody. In no particular order
        between partitions. After `timeout` seconds: TimedOut, which shows how far it got.
        """
        consumer = Consumer(self._reader_config())
        deadline = time.monotonic() + timeout
        try:
            partitions = self._partitions(consumer, topic, timeout)
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
            return self._read(consumer, set(partitions), until, deadline, f"{topic} within {timeout:g} s")
        finally:
            consumer.close()

    def _reader_config(self):
        return self._config(
            **{
                "group.id": f"harness-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
                "fetch.wait.max.ms": 50,
                "isolation.level": "read_committed",
            }
        )

    @staticmethod
    def _read(consumer, unread, until, deadline, what):
        records = []

        def enough():
            if until is None:
                return not unread
            return until(records) if callable(until) else len(records) >= until

        while not enough():
            if time.monotonic() >= deadline:
                tail = [record.value for record in records[-3:]]
                raise wait.TimedOut(f"not what was awaited in {what}: {len(records)} records, the last {tail}")
            for message in consumer.consume(500, 0.05):
                if message.error() is None:
                    records.append(_record(message))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
        return records

    def committed(self, group, topic, timeout=10.0):
        """{partition: next offset} of what a group has committed; a partition without a commit is not in it."""
        consumer = Consumer(self._config(**{"group.id": group, "enable.auto.commit": False}))
        try:
            wanted = [TopicPartition(topic, partition) for partition in self._partitions(consumer, topic, timeout)]
            found = consumer.committed(wanted, timeout)
            return {entry.partition: entry.offset for entry in found if entry.offset >= 0}
        finally:
            consumer.close()

    def end_offsets(self, topic, timeout=10.0):
        """{partition: offset that the next message gets}."""
        consumer = Consumer(self._config(**{"group.id": "harness"}))
        try:
            return {
                partition: consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout)[1]
                for partition in self._partitions(consumer, topic, timeout)
            }
        finally:
            consumer.close()
