"""Events that can't become deliveries: one clear reason each, stored and published, and nobody waits because of them."""

import functools
import json
from dataclasses import dataclass, field

import jsonschema
import pytest

from harness import ROOT
from harness.wait import until, until_equal

EVENT_MAX = 1 << 20
MIB = 1 << 20
TRACE = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("tracestate", b"vendor=1,other=two")]


@dataclass
class Bad:
    """A record and what has to become of it. detail: words of the explanation; event_id: what can be read all the same."""

    name: str
    value: bytes | None
    reason: str
    detail: list
    event_id: str | None = None
    key: bytes | None = b"k"
    headers: list = field(default_factory=list)


def event(**changes):
    """An event for a destination that exists, as JSON; Ellipsis removes a field."""
    whole = {"event_id": "bad", "destination_id": "good", "payload": {"message": "hello"}, **changes}
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


def nested(levels, **fields):
    """An event with so many levels of nesting, itself included."""
    arrays = b"[" * (levels - 1) + b"]" * (levels - 1)
    return event(event_id=f"nested{levels}", payload=0, **fields).replace(b'"payload": 0', b'"payload": ' + arrays)


def sized(size, **fields):
    """An event of exactly so many bytes."""
    empty = event(padding="", **fields)
    return event(padding="x" * (size - len(empty)), **fields)


def id_faults(name, reason):
    """Everything that can be wrong with an id."""
    faults = {
        "missing": (..., "missing"),
        "null": (None, "not a string"),
        "number": (5, "not a string"),
        "array": (["x"], "not a string"),
        "empty": ("", "empty"),
        "too long": ("x" * 256, "too long"),
        "too long in characters": ("\U0001f989" * 256, "too long"),
        "line feed": ("a\nb", "control character"),
        "delete": ("a\x7fb", "control character"),
        "C1": ("a\x85b", "control character"),
    }
    readable = None if name == "event_id" else "bad"
    for fault, (value, words) in faults.items():
        yield Bad(f"{name}: {fault}", event(**{name: value}), reason, [name, words, "expected a string of 1 to 255"], readable)


BAD = [
    Bad("words", b"hello", "NOT_JSON", ["not JSON"]),
    Bad("nothing", b"", "NOT_JSON", ["not JSON"]),
    Bad("cut", event()[:-1], "NOT_JSON", ["not JSON", "line 1 column"]),
    Bad("something behind", event() + b" x", "NOT_JSON", ["not JSON"]),
    Bad("two events", event() + event(), "NOT_JSON", ["not JSON"]),
    Bad("single quotes", b"{'event_id': 'x'}", "NOT_JSON", ["not JSON"]),
    Bad("trailing comma", b'{"event_id": "x",}', "NOT_JSON", ["not JSON"]),
    Bad("not a number", event().replace(b'"hello"', b"NaN"), "NOT_JSON", ["not JSON"]),
    Bad("line feed in a string", event().replace(b"hello", b"hel\nlo"), "NOT_JSON", ["not JSON"]),
    Bad("byte order mark", b"\xef\xbb\xbf" + event(), "NOT_JSON", ["not JSON"]),
    Bad("UTF-16", event().decode().encode("utf-16-le"), "NOT_JSON", ["not JSON"]),
    Bad("NUL in a string", event().replace(b"hello", rb"hel\u0000lo"), "NUL_CHARACTER", [r"\u0000"]),
    Bad("NUL in an id", event(event_id="a\0b"), "NUL_CHARACTER", [r"\u0000"]),
    Bad("an array", b"[" + event() + b"]", "NOT_AN_OBJECT", ["expected a JSON object"]),
    Bad("a string", b'"hello"', "NOT_AN_OBJECT", ["expected a JSON object"]),
    Bad("null", b"null", "NOT_AN_OBJECT", ["expected a JSON object"]),
    Bad("Latin-1", event().replace(b"hello", b"h\xe4llo"), "NOT_UTF8", ["UTF-8"]),
    Bad("overlong", event().replace(b"hello", b"\xc0\xaf"), "NOT_UTF8", ["UTF-8"]),
    Bad("surrogate in bytes", event().replace(b"hello", b"\xed\xa0\x80"), "NOT_UTF8", ["UTF-8"]),
    Bad("bytes", bytes(range(256)), "NOT_UTF8", ["UTF-8"]),
    Bad("same key twice", b'{"event_id": "a", "event_id": "b"}', "DUPLICATE_KEY", ["same key twice"]),
    Bad("same key twice, deep", event().replace(b'"hello"', b'{"a": 1, "a": 1}'), "DUPLICATE_KEY", ["same key twice"]),
    Bad("65 levels", nested(65), "TOO_DEEP", ["64 levels"]),
    Bad("3000 levels", nested(3000), "TOO_DEEP", ["64 levels"]),
    Bad("half a million levels", b"[" * 500_000, "TOO_DEEP", ["64 levels"]),
    Bad("integer beyond 64 bits", event(n=2**64), "NUMBER_OUT_OF_RANGE", ["64 bits"]),
    Bad("real beyond doubles", event(n=0).replace(b'"n": 0', b'"n": 1e999'), "NUMBER_OUT_OF_RANGE", ["out of range"]),
    Bad("a byte too large", sized(EVENT_MAX + 1), "TOO_LARGE", ["1048577 bytes", "at most 1048576"]),
    Bad("much too large", b"\xff" * (5 * MIB), "TOO_LARGE", ["5242880 bytes", "at most 1048576"]),
    Bad("tombstone", None, "TOMBSTONE", ["no value", "expected an event"]),
    Bad("tombstone without a key", None, "TOMBSTONE", ["no value"], key=None),
    *id_faults("event_id", "EVENT_ID_INVALID"),
    *id_faults("destination_id", "DESTINATION_ID_INVALID"),
    Bad("connection_id: number", event(connection_id=7), "CONNECTION_ID_INVALID", ["connection_id", "not a string"], "bad"),
    Bad("connection_id: empty", event(connection_id=""), "CONNECTION_ID_INVALID", ["connection_id", "empty"], "bad"),
    Bad("occurred_at: word", event(occurred_at="now"), "OCCURRED_AT_INVALID", ["occurred_at", "RFC 3339"], "bad"),
    Bad("occurred_at: number", event(occurred_at=1), "OCCURRED_AT_INVALID", ["occurred_at", "RFC 3339"], "bad"),
    Bad("retry: word", event(retry="often"), "RETRY_INVALID", ["retry", "an object"], "bad"),
    Bad("retry: strategy", event(retry={"strategy": "random"}), "RETRY_INVALID", ["retry.strategy", "linear"], "bad"),
    Bad("retry: count", event(retry={"count": -1}), "RETRY_INVALID", ["retry.count", "0 to 100"], "bad"),
    Bad("retry: interval", event(retry={"interval": "1m"}), "RETRY_INVALID", ["retry.interval", "milliseconds"], "bad"),
    Bad("retry: statuses", event(retry={"response_status_codes": ["4xx"]}), "RETRY_INVALID", ["retry.response_status_codes"], "bad"),
    Bad("unknown destination", event(destination_id="nobody"), "DESTINATION_UNKNOWN", ["destination_id", "mms.destinations"], "bad"),
    Bad("another type", event(destination_id="webhook"), "DESTINATION_TYPE", ["WEBHOOK", "expected TWILIO_MMS"], "bad"),
    Bad("key of any bytes", b"x", "NOT_JSON", ["not JSON"], key=b"\x00\xff\xfe"),
    Bad("empty key", b"x", "NOT_JSON", ["not JSON"], key=b""),
    Bad("no key", b"x", "NOT_JSON", ["not JSON"], key=None),
    Bad("with a trace", b"x", "NOT_JSON", ["not JSON"], headers=TRACE),
    Bad("unknown destination, with a trace", event(destination_id="nobody"), "DESTINATION_UNKNOWN", [], "bad", headers=TRACE),
    Bad("with an unusable trace", b"x", "NOT_JSON", ["not JSON"], headers=[("traceparent", b"\xff"), ("tracestate", b"x" * 5000)]),
]

LONG = "\U0001f989" * 255
# At the edge of what is allowed: these are taken, byte for byte. Each for a destination of its own.
EDGES = {
    "edge0": nested(64, destination_id="edge0"),
    "edge1": sized(EVENT_MAX, event_id="whole", destination_id="edge1"),
    "edge2": event(event_id=LONG, destination_id="edge2"),
    LONG: event(event_id=LONG, destination_id=LONG),
    "edge3": event(event_id="nulls", destination_id="edge3", connection_id=None, occurred_at=None, retry=None),
    "edge4": b'\r\n\t { "event_id" : "odd" ,"destination_id":"edge4", "x": 9223372036854775807, "y": 1.50e1 }\n',
    "edge5": event(event_id="bare", destination_id="edge5", payload=...),
    "edge6": event(event_id="connected", destination_id="edge6", connection_id=LONG, occurred_at="2026-01-31T12:00:00.5+02:00"),
}


@functools.cache
def validator():
    """Of schemas/result.schema.json, as long as there is one."""
    path = ROOT / "schemas" / "result.schema.json"
    if not path.exists():
        return None
    schema = json.loads(path.read_text())
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=jsonschema.FormatChecker())


def check_each(cases, check):
    """Runs a check on every case, and fails with all that are wrong instead of the first."""
    wrong = []
    for case in cases:
        try:
            check(case)
        except (AssertionError, jsonschema.ValidationError) as error:
            wrong.append(f"{case.name}: {str(error).splitlines()[0]}")
    assert not wrong, "\n".join([f"{len(wrong)} cases are wrong:", *wrong])


def by_source(dead_letters):
    """{"topic/partition/offset": [dead letter, …]}"""
    found = {}
    for record in dead_letters:
        found.setdefault(dict(record.headers)["mms-source"].decode(), []).append(record)
    return found


def wait_published(system, count, timeout=30):
    """Waits until so many rejected events are marked: their result and dead letter are both in Kafka."""
    sql = "select count(*) from mms.rejected_events where published_at is not null"
    until_equal(lambda: system.value(sql), count, timeout, "the published rejected events")


def bytes_of(value):
    return None if value is None else bytes(value)


class Ended:
    """Where the bad records of a system have ended."""

    def __init__(self, system):
        self.topic = system.events_topic
        self.rows = {(row["partition"], row["offset"]): row for row in system.query("select * from mms.rejected_events")}
        self.dead_letters = by_source(system.dead_letters())
        self.results = {}
        for record in system.kafka.consume(system.results_topic):
            self.results.setdefault(record.json()["result_id"], []).append(record)

    def check(self, case, position):
        row = self.rows.get(position)
        assert row, "is not in mms.rejected_events"
        self.check_row(case, row)
        source = "/".join(map(str, [self.topic, *position]))
        self.check_dead_letter(case, row, self.dead_letters.get(source, []))
        self.check_result(case, row, self.results.get(str(row["result_id"]), []))

    @staticmethod
    def trace(case):
        """The trace headers that are kept."""
        return {name: value for name, value in case.headers if value != b"\xff" and len(value) <= 1024}

    def check_row(self, case, row):
        assert row["reason"] == case.reason, f"reason {row['reason']} ({row['detail']}), expected {case.reason}"
        assert all(words in row["detail"] for words in case.detail), f"detail {row['detail']!r}"
        assert bytes_of(row["bytes"]) == case.value, "other bytes in the table"
        assert bytes_of(row["key"]) == case.key, f"key {bytes_of(row['key'])!r}"
        assert row["topic"] == self.topic
        assert row["event_id"] == case.event_id, f"event_id {row['event_id']!r}"
        for name in ("traceparent", "tracestate"):
            assert row[name] == self.trace(case).get(name, b"").decode() or row[name] is None and name not in self.trace(case)

    def check_dead_letter(self, case, row, records):
        assert len(records) == 1, f"{len(records)} dead letters"
        record = records[0]
        assert record.value == case.value, "other bytes in the dead letter"
        assert record.key == case.key, f"dead letter's key {record.key!r}"
        headers = dict(record.headers)
        assert len(headers) == len(record.headers), "a header twice"
        expected = {"mms-reason": row["reason"].encode(), "mms-detail": row["detail"].encode(), **self.trace(case)}
        headers.pop("mms-source")
        assert headers == expected, f"dead letter's headers {headers}"

    def check_result(self, case, row, records):
        assert len(records) == 1, f"{len(records)} results"
        record, result = records[0], records[0].json()
        if validator():
            validator().validate(result)
        said = {name: result[name] for name in ("schema", "kind", "outcome", "final", "reason", "error_message", "event_id")}
        assert said == {
            "schema": "mms.result/1",
            "kind": "rejection",
            "outcome": "rejected",
            "final": True,
            "reason": case.reason,
            "error_message": row["detail"],
            "event_id": case.event_id,
        }, f"result {said}"
        nothing = ("attempt", "http_status", "message_sid", "message_status", "error_code", "next_attempt_at")
        assert all(result[name] is None for name in nothing), f"result {result}"
        assert record.key == (case.event_id.encode() if case.event_id else None), f"result's key {record.key!r}"
        assert dict(record.headers) == self.trace(case), f"result's headers {record.headers}"


def test_every_bad_record_has_its_reason(system):
    """The whole table in one partition, good events in between: the good ones are sent as if nothing were."""
    system.destination("webhook", type="WEBHOOK")
    system.destination("good", to="+15557770000")
    for i in range(4):
        system.destination(f"good{i}", to=f"+1555777000{i + 1}")
    positions, good = {}, []
    for i, case in enumerate(BAD):
        where = system.kafka.produce(system.events_topic, case.value, case.key, partition=5, headers=case.headers)
        positions[case.name] = where
        if i % 6 == 0:
            good.append(f"e{i}")
            system.produce(system.event(f"e{i}", f"good{i // 6 % 4}"), partition=5, headers=TRACE)
    worker = system.worker()
    system.wait_states(accepted=len(good), timeout=60)
    wait_published(system, len(BAD))

    ended = Ended(system)
    check_each(BAD, lambda case: ended.check(case, positions[case.name]))
    assert len(ended.rows) == len(BAD)
    assert worker.metric("mms_events_rejected_total") == len(BAD)
    # The good ones: each once, in their order, at the pace, no slot wasted.
    posts = system.sim.posts()
    assert sorted(post["body"] for post in posts) == sorted(f"{name}: hello" for name in good)
    for i in range(4):
        mine = [post for post in posts if post["to"] == f"+1555777000{i + 1}"]
        assert [post["body"] for post in mine] == [f"{name}: hello" for name in good[i::4]]
        gaps = [b["arrived_at"] - a["arrived_at"] for a, b in zip(mine, mine[1:])]
        assert all(1.0 <= gap < 1.2 for gap in gaps), gaps
    firsts = [next(post["arrived_at"] for post in posts if post["to"] == f"+1555777000{i + 1}") for i in range(4)]
    assert max(firsts) - min(firsts) < 1.0, "one destination waited for another"
    # Their results carry the trace of their records.
    accepted = [r for r in system.kafka.consume(system.results_topic) if r.json()["outcome"] == "accepted"]
    assert sorted(record.json()["event_id"] for record in accepted) == sorted(good)
    assert all(dict(record.headers) == dict(TRACE) for record in accepted)
    if validator():
        for record in accepted:
            validator().validate(record.json())
    # Nothing is read again after the next start.
    assert worker.stop() == 0
    assert system.kafka.committed("g-" + system.database, system.events_topic) == {5: len(BAD) + len(good)}


def test_what_is_just_allowed_is_taken(system):
    """A whole MiB, ids of 255 characters, 64 levels, blanks, nulls: deliveries, with the event byte for byte."""
    for destination_id, value in EDGES.items():
        system.destination(destination_id, body_template="{{event_id}}")
        system.produce(value)
    worker = system.worker()
    until(lambda: sum(system.states().values()) + worker.metric("mms_events_rejected_total") >= len(EDGES), 30, "intake")
    assert system.query("select reason, detail from mms.rejected_events") == []
    for row in system.query("select destination_id, event::text, octet_length(event::text) as length from mms.deliveries"):
        same = row["event"] == EDGES[row["destination_id"]].decode()
        assert same, f"{row['length']} other bytes in mms.deliveries for {row['destination_id']}"
    system.wait_states(accepted=len(EDGES), timeout=30)
    ids = sorted(json.loads(value)["event_id"] for value in EDGES.values())
    assert sorted(post["body"] for post in system.sim.posts()) == ids


def test_a_repeated_event_is_one_delivery(system):
    """The same event twice in a row, in other partitions, with other content, and after it was sent."""
    system.destination("d", to="+15557770001")
    system.destination("other", to="+15557770002")
    one = system.event("e", "d", message="first")
    system.produce(one, one, partition=0)
    worker = system.worker().wait_ready()
    system.wait_states(accepted=1)
    for partition in range(12):
        system.produce(one, system.event("e", "d", message="second"), partition=partition)
    # The event's id counts for its destination alone.
    system.produce(system.event("e", "other", message="third"), partition=0)
    until_equal(lambda: worker.metric("mms_events_read_total"), 27, 20, "everything to be read")
    system.wait_states(accepted=2)
    assert [post["body"] for post in system.sim.posts()] == ["e: first", "e: third"]
    assert len(system.results(2)) == 2
    assert worker.metric("mms_events_taken_total") == 2
    assert worker.metric("mms_events_rejected_total") == 0
    assert system.value("select count(*) from mms.rejected_events") == 0


def small_dead_letters(system, limit):
    """A dead-letter topic that takes less than the event topic."""
    name = f"{system.dead_letters_topic}.small"
    system.kafka.create_topic(name, 1, {"max.message.bytes": limit})
    return name


@pytest.mark.timeout(90)
def test_dead_letters_that_are_too_large(system):
    """A topic of Kafka's default size: what doesn't fit comes without its bytes, what fits comes whole, now and later."""
    topic = small_dead_letters(system, 1_048_588)
    system.worker(dead_letter_topic=topic).wait_ready()
    small, large, huge = b"small", b"\xff" * (2 * MIB), b"\xfe" * (4 * MIB)
    for value in (small, large, huge):
        system.kafka.produce(system.events_topic, value, b"k", partition=0)
    wait_published(system, 3)
    # The limit is known now: the next one needs no second try.
    system.kafka.produce(system.events_topic, large, b"again", partition=1)
    system.kafka.produce(system.events_topic, b"later", b"k", partition=2)
    wait_published(system, 5)

    letters = {source.split("/", 1)[1]: records for source, records in by_source(system.kafka.consume(topic)).items()}
    expected = {
        "0/0": (small, b"k", None),
        "0/1": (None, b"k", b"true"),
        "0/2": (None, b"k", b"true"),
        "1/0": (None, b"again", b"true"),
        "2/0": (b"later", b"k", None),
    }
    assert letters.keys() == expected.keys()
    for source, records in letters.items():
        seen = {(record.value, record.key, dict(record.headers).get("mms-truncated")) for record in records}
        assert seen == {expected[source]}, source
        assert dict(records[0].headers)["mms-reason"] in (b"NOT_JSON", b"TOO_LARGE")
    assert len(letters["1/0"]) == 1
    kept = system.query('select partition, "offset", bytes from mms.rejected_events order by 1, 2')
    assert [bytes(row["bytes"]) for row in kept] == [small, large, huge, large, b"later"]
    results = system.results()
    assert len({result["result_id"] for result in results}) == 5
    assert all(result["kind"] == "rejection" and result["final"] for result in results)


@pytest.mark.timeout(90)
def test_a_key_that_is_too_large(system):
    """A key that the dead-letter topic can't take is left out like the bytes, and costs no other dead letter its bytes."""
    topic = small_dead_letters(system, 1_048_588)
    system.worker(dead_letter_topic=topic).wait_ready()
    key = b"k" * (2 * MIB)
    system.kafka.produce(system.events_topic, b"with a large key", key, partition=0)
    until(lambda: system.value("select count(*) from mms.rejected_events"), 20, "the rejected event")
    until(lambda: system.results(), 20, "its result")
    system.kafka.produce(system.events_topic, b"with a small key, and longer", b"k", partition=1)
    wait_published(system, 2, timeout=15)
    letters = {source.split("/", 1)[1]: records[-1] for source, records in by_source(system.kafka.consume(topic)).items()}
    assert letters["1/0"].value == b"with a small key, and longer"
    assert "mms-truncated" not in dict(letters["1/0"].headers)
    assert letters["0/0"].key is None
    assert dict(letters["0/0"].headers)["mms-truncated"] == b"true"
    row = system.query("select key, bytes from mms.rejected_events where partition = 0")[0]
    assert (bytes(row["key"]), bytes(row["bytes"])) == (key, b"with a large key")


@pytest.mark.timeout(90)
def test_many_dead_letters_for_a_topic_of_small_records(system):
    """The topic's limit is for a batch of records too: what fits by itself arrives whole, however many there are."""
    topic = small_dead_letters(system, 65536)
    values = [f"bad {i} ".encode() + b"x" * 2000 for i in range(150)]
    system.kafka.produce_many(system.events_topic, values, partition=0)
    system.worker(dead_letter_topic=topic)
    wait_published(system, len(values), timeout=15)
    arrived = [record.value for record in system.kafka.consume(topic)]
    missing = set(values) - set(arrived)
    assert not missing, f"{len(missing)} dead letters without their bytes"
    assert len(set(arrived)) == len(values)
