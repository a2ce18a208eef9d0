"""What a hostile producer writes. A load is a function of a System and a size: it prepares, and returns the flood's records."""

import json
import random
import string
from dataclasses import dataclass

MIB = 1 << 20
EVENT_MAX = MIB  # DESIGN: an event has a MiB at most


@dataclass(frozen=True)
class Load:
    """make(system, count) writes destinations and returns an iterator of (key, value, headers)."""

    make: object
    full: int  # how many records `make limits` has of it
    ends: str  # what becomes of each: rejected, taken (one delivery each), once (one for all), either
    about: str
    crowd: bool = False  # more destinations than can be served in a second: everybody waits for his turn


_noise = random.Random(8)
# Text that compression makes no smaller than three quarters.
_TEXT = "".join(_noise.choices(string.ascii_letters + string.digits, k=2 * MIB))


def text(size):
    begin = _noise.randrange(len(_TEXT) - size)
    return _TEXT[begin : begin + size]


def event(event_id, destination_id, size=None, **more):
    """An event; with `size` its payload fills it up to so many bytes."""
    whole = {"event_id": event_id, "destination_id": destination_id, "payload": {"message": "hello"}, **more}
    if size is not None:
        whole["payload"]["filling"] = text(size - len(json.dumps(whole)) - 15)
    return json.dumps(whole).encode()


def _unknown(_system, count):
    for n in range(count):
        yield None, event(f"unknown-{n}", f"nobody-{n % 10}"), None


def _distinct(_system, count):
    for n in range(count):
        yield None, event(f"distinct-{n}", f"nobody-{n}"), None


def _existing(system, count):
    system.destinations("crowd", count)
    for n in range(count):
        yield None, event(f"existing-{n}", f"crowd{n}"), None


def _repeated(system, count):
    system.destinations("repeated", 1)
    same = event("the-same", "repeated0")
    for _ in range(count):
        yield None, same, None


def _mib_one(system, count):
    system.destinations("big", 1)
    for n in range(count):
        yield None, event(f"big-{n}", "big0", size=EVENT_MAX), None


def _mib_many(system, count):
    system.destinations("bulky", count)
    for n in range(count):
        yield None, event(f"bulky-{n}", f"bulky{n}", size=EVENT_MAX), None


def _nasty(system, count):
    """As many JSON values as fit into a MiB, each of which costs a parser a hundred times its bytes; and as many as are allowed."""
    system.destinations("nasty", count)
    fills = [b",".join([b"{}"] * ((EVENT_MAX - 200) // 3)), b",".join([b'{"a":{}}'] * 49_990)]
    for n in range(count):
        yield None, b'{"event_id":"nasty-%d","destination_id":"nasty%d","payload":[%s]}' % (n, n, fills[n % 2]), None


def _too_large(_system, count):
    for n in range(count):
        yield None, event(f"large-{n}", "nobody", size=EVENT_MAX + 1), None


def _garbage(_system, count):
    """Everything that is no event, in turn."""
    many_keys = ("{" + ",".join(f'"k{n}":{n}' for n in range(60_000)) + "}").encode()
    kinds = [
        (None, _noise.randbytes(1000), None),
        (None, b"[" * 100_000, None),
        (None, many_keys, None),
        (None, b'{"event_id":"' + b"x" * (MIB - 20) + b'"}', None),
        (None, b'{"event_id":"e","event_id":"e"}', None),
        (None, b'{"event_id":"\\u0000","destination_id":"d"}', None),
        (None, b'{"event_id":"\0"}', None),
        (None, b'{"event_id":"\xff\xfe"}', None),
        (None, b'{"n":' + b"9" * 100_000 + b"}", None),
        (b"k" * MIB, b"{}", None),
        (None, b"{}", [(f"h{n}", b"v" * 80) for n in range(10_000)]),
        (None, None, None),
    ]
    for n in range(count):
        yield kinds[n % len(kinds)]


def _headers(_system, count):
    """Hardly a value, and a MiB of headers: what a consumer's own bounds don't count."""
    headers = [(f"h{n}", b"v" * 90) for n in range(10_000)]
    for _ in range(count):
        yield None, b"{}", headers


def _tiny_headers(_system, count):
    """As many headers as librdkafka reads, of three bytes each; in memory it is thirty times that. And more than it reads."""
    floods = [[("h", b"")] * 100_000, [("h", b"")] * 330_000]
    for n in range(count):
        yield None, b"{}", floods[n % 2]


def _amplified(system, count):
    """A value of half a MiB that the destination's templates name a hundred times."""
    system.destinations("amplified", 10, body_template="{{message}}" * 100, media_urls=["{{message}}" * 10] * 10)
    long = text(EVENT_MAX // 2)
    for n in range(count):
        yield None, json.dumps({"event_id": f"amp-{n}", "destination_id": f"amplified{n % 10}", "payload": {"message": long}}).encode(), None


def _tokens(system, count):
    """Rows with a body_template of so many tokens, written past every check."""
    system.huge_destinations("tokens", 10, "{{message}}" * 100_000)
    for n in range(count):
        yield None, event(f"tokens-{n}", f"tokens{n % 10}"), None


def _config(system, count):
    """Rows with 50 MB of settings, written past every check."""
    rows = min(3, count // 4)
    system.huge_destinations("heavy", rows, text(MIB) * 50)
    for n in range(count):
        yield None, event(f"heavy-{n}", f"heavy{n % rows}"), None


def _mixed(system, count):
    """Some of each but the settings: `make test` has this one."""
    shares = {_unknown: 30, _repeated: 60, _mib_many: 0.3, _nasty: 0.1, _headers: 0.3, _too_large: 0.1, _garbage: 0.6, _amplified: 0.2}
    floods = [make(system, max(1, int(count * share / 100))) for make, share in shares.items()]
    while floods:
        for flood in list(floods):
            record = next(flood, None)
            if record is None:
                floods.remove(flood)
            else:
                yield record


ALL = {
    "unknown": Load(_unknown, 100_000, "rejected", "events for ten destinations that don't exist"),
    "distinct": Load(_distinct, 1_000_000, "rejected", "events for as many destinations that don't exist"),
    "repeated": Load(_repeated, 1_000_000, "once", "the same event again and again"),
    "existing": Load(_existing, 20_000, "taken", "an event for each of as many destinations that do exist", crowd=True),
    "mib-one": Load(_mib_one, 400, "taken", "events of a MiB for one destination"),
    "mib-many": Load(_mib_many, 400, "taken", "events of a MiB for as many destinations"),
    "nasty": Load(_nasty, 200, "either", "events with 350 000 JSON values, and with 100 000, for as many destinations"),
    "too-large": Load(_too_large, 1_000, "rejected", "events of a MiB and a byte"),
    "garbage": Load(_garbage, 1_200, "rejected", "twelve kinds of records that are no events, some of a MiB"),
    "headers": Load(_headers, 1_000, "rejected", "records with 10 000 headers, a MiB of them"),
    "tiny-headers": Load(_tiny_headers, 400, "rejected", "records with 100 000 headers of three bytes, and with 330 000"),
    "amplified": Load(_amplified, 200, "taken", "templates that would make 50 MB of half a MiB"),
    "tokens": Load(_tokens, 100, "taken", "body templates of 100 000 tokens"),
    "mixed": Load(_mixed, 50_000, "either", "some of each"),
    "config": Load(_config, 30, "taken", "destinations with 50 MB of settings"),
}
