"""What will happen: all of it is decided by one seed before anything starts."""

import json
import random
from dataclasses import dataclass, field, replace

from harness.system import ACCOUNT, OWL, TOKEN, config

TIMEOUT = 2  # seconds; of one exchange with Twilio
LEASE = 12  # seconds; the shortest that goes with the timeout
LOOKED_UP_AFTER = 6  # seconds after an unknown send. What is stored late has to be stored by then
PARTITIONS = 12

SENDER = "+15550001111"
SAME_BODY = "{{message}}"
OWN_BODY = "{{event_id}}: {{message}}"

# Another system's messages are at least this old when the workers start: what is younger than a send may be its own.
FOREIGN_AGES = (60, 7200)  # seconds
CLOCK_OFF = 90.0  # seconds, by which Twilio's clock may be off at most, either way


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    events: int
    destinations: int
    seconds: float  # of the disturbed phase
    fault_share: float  # of the POSTs
    pause: float  # between two disturbances, on average, in seconds
    settle: float  # how long it may take until everything is done, in seconds


FULL = Scale(events=20_000, destinations=500, seconds=240, fault_share=0.05, pause=2.5, settle=300)
SHORT = Scale(events=1200, destinations=100, seconds=24, fault_share=0.12, pause=1.2, settle=75)


@dataclass(frozen=True)
class Record:
    """Something to produce, so many seconds after the beginning. The key tells what it is."""

    at: float
    partition: int
    key: str
    value: bytes | None


@dataclass(frozen=True)
class Disturbance:
    """Something that goes wrong. pick: which of those that there are, as a number in [0, 1)."""

    at: float
    kind: str
    pick: float
    seconds: float = 0.0  # how long: a stop, or a server's absence
    count: int = 0  # how many: workers to have, or connections to cut


# How often each is chosen, against the others. Each happens at least once.
KINDS = {
    "kill": 20,  # SIGKILL of a worker, and a new one
    "freeze": 6,  # SIGSTOP for longer than the lease, then SIGCONT
    "halt": 14,  # SIGSTOP for a moment, then SIGCONT
    "stop": 10,  # SIGTERM of a worker, and a new one
    "scale": 10,  # to another number of workers
    "cut": 14,  # connections to PostgreSQL
    "postgres-fast": 4,  # restart, sessions ended in order
    "postgres-immediate": 4,  # restart, as after a crash
    "kafka-stop": 3,  # restart, in order
    "kafka-kill": 3,  # restart after SIGKILL
}
WORKERS_MAX = 5


def _seconds(kind, rng):
    """How long it lasts."""
    if kind == "freeze":
        return rng.uniform(LEASE + 1.0, LEASE + 8.0)
    if kind == "halt":
        return rng.uniform(0.5, 4.0)
    return rng.choice((0.0, rng.uniform(0.0, 5.0)))


def _killed_while_away(rng, absence):
    """A server that stays away long enough, and a worker that dies meanwhile, with its hands full."""
    seconds = rng.uniform(2.5, 4.0)
    death = Disturbance(absence.at + rng.uniform(1.5, seconds), "kill", rng.random(), count=rng.randint(1, WORKERS_MAX))
    return [replace(absence, seconds=seconds), death]


def disturbances(rng, scale):
    """In order of time."""
    chosen = list(KINDS)
    more = max(0, int(scale.seconds / scale.pause) - len(chosen))
    chosen += rng.choices(list(KINDS), list(KINDS.values()), k=more)
    rng.shuffle(chosen)
    # A freeze is the longest: with the first one at the beginning a short run has time for it.
    first = chosen.index("freeze")
    chosen[0], chosen[first] = chosen[first], chosen[0]
    times = sorted(rng.uniform(0.04, 0.96) * scale.seconds for _ in chosen)
    for place in range(1, len(chosen)):
        if chosen[place] == "freeze" and times[place] + LEASE > scale.seconds:
            chosen[place] = "halt"
    planned = [
        Disturbance(at, kind, rng.random(), _seconds(kind, rng), rng.randint(1, WORKERS_MAX))
        for at, kind in zip(times, chosen)
    ]
    # The first absence of each server is one of these, and half of the others.
    hard, seen = [], set()
    for disturbance in planned:
        server = disturbance.kind.partition("-")[0]
        if server not in ("postgres", "kafka") or (server in seen and rng.random() < 0.5):
            hard.append(disturbance)
        else:
            hard += _killed_while_away(rng, disturbance)
        seen.add(server)
    return sorted(hard, key=lambda disturbance: disturbance.at)


# ---- what Twilio and the network do ----

# As the simulator knows them (tests/sim/README.md), but for `hang`: what is stored when its rule goes, however late,
# is not found by who looks before.
POST_FAULTS = [
    ("delay", {"ms": 1200}),  # late, but in time
    ("delay", {"ms": 3000}),  # stored after the worker has given up, and before it looks
    ("delay", {"ms": 5500}),
    ("delay", {"ms": 3000, "accept_first": True}),
    ("delay", {"ms": 8000, "accept_first": True}),
    ("accept_then_drop", {}),
    ("accept_then_reset", {}),
    ("drop", {}),
    ("accept_cut", {}),
    ("accept_cut", {"bytes": 0}),
    ("accept_garbage", {}),
    ("accept_no_sid", {}),
    ("xml", {}),
    ("huge_body", {"bytes": 200_000}),
    ("close_kept_alive", {}),
    *(("status", {"status": status}) for status in (500, 502, 503, 504)),
    *(("status", {"status": status, "accept": True}) for status in (500, 502, 503, 504)),
    ("error", {"status": 500, "code": 20500}),
    ("error", {"status": 500, "code": 20500, "accept": True}),
    ("error", {"status": 429, "code": 20429}),
    ("error", {"status": 429, "code": 20429, "retry_after": 1}),
    ("error", {"status": 400, "code": 21610}),  # these two are for good
    ("error", {"status": 400, "code": 21211}),
    ("echo_authorization", {}),
    ("echo_authorization", {"accept": True}),
]

# What befalls those who look something up.
GET_FAULTS = [
    ("status", {"status": 503}),
    ("drop", {}),
    ("delay", {"ms": 3000}),
    ("error", {"status": 429, "code": 20429}),
    ("accept_cut", {}),
    ("accept_garbage", {}),
]
GET_SHARE = 0.1
# A worker whose question gets 429 asks for no status for a minute: once for so many events.
EVENTS_FOR_A_REFUSAL = 1000


# ---- what becomes of messages ----

_REASONS = {"undelivered": 30003, "failed": 30008}


def _life(end="delivered", sent_after=500, end_after=1000, **of_steps):
    code = {"error_code": _REASONS[end]} if end in _REASONS else {}
    sent = {"status": "sent", "after_ms": sent_after, **of_steps}
    return ["queued", sent, {"status": end, "after_ms": end_after, **code, **of_steps}]


# (share of the messages, steps, arguments of Sim.life()). Of many nobody tells: how unknown sends are looked up, and
# messages asked for, has to be seen as well.
LIVES = [
    (0.25, _life(), {"callbacks": "withheld"}),
    (0.1, _life("undelivered"), {"callbacks": "withheld"}),
    (0.1, _life("undelivered"), {}),
    (0.05, _life("failed", end_after=100), {"callbacks": "reversed"}),
    (0.1, _life(), {"callbacks": "reversed"}),
    (0.05, _life(repeat=3), {}),
    (0.05, _life("undelivered", repeat=2), {"callbacks": "reversed"}),
    (0.05, _life(sent_after=0, end_after=0), {}),  # all is told before our own request is answered
    (0.05, _life(sent_after=2000, end_after=4000), {}),  # the callbacks meet a poll
    (0.05, _life("undelivered", parallel=True, delay_callback_ms=3000), {}),
    (0.03, _life(signature="bad"), {}),  # told by somebody else: refused
    (0.12, _life(), {}),
]


def life_rules():
    """(steps, arguments) for Sim.life(): they are asked in order, and the last takes what is left."""
    rules, left = [], 1.0
    for share, steps, arguments in LIVES[:-1]:
        rules.append((steps, {**arguments, "probability": share / left}))
        left -= share
    return [*rules, LIVES[-1][1:]]


def _spread(faults, share, method):
    """
    Rules that together hit this share of the requests, each as often as the others. They are asked in order, and one
    that comes later is asked only by what the earlier ones have let through.
    """
    each = share / len(faults)
    return [
        {"name": name, "match": {"method": method}, "probability": each / (1 - each * place), **parameters}
        for place, (name, parameters) in enumerate(faults)
    ]


def fault_rules(scale):
    """Arguments for Sim.fault()."""
    lookups = _spread(GET_FAULTS, GET_SHARE, "GET")
    for rule in lookups:
        if rule.get("status") == 429:
            rule["times"] = max(1, scale.events // EVENTS_FOR_A_REFUSAL)
    return _spread(POST_FAULTS, scale.fault_share, "POST") + lookups


# ---- events ----


@dataclass
class Event:
    """An event, and the message that it has to become."""

    event_id: str
    destination_id: str
    at: float
    message: str = "Your order has left our house."
    same: bool = False  # its destination's bodies don't tell events apart

    @property
    def body(self):
        return self.message if self.same else f"{self.event_id}: {self.message}"

    def value(self):
        payload = {"message": self.message}
        whole = {"event_id": self.event_id, "destination_id": self.destination_id, "payload": payload}
        return json.dumps(whole).encode()


def phone(number):
    return f"+1555{1_000_000 + number}"


@dataclass
class Destination:
    id: str
    to: str
    same: bool
    weight: float  # its share of the events, against the others

    def config(self):
        return config(**{"from": SENDER}, to=self.to, body_template=SAME_BODY if self.same else OWN_BODY)


BAD_RECORDS = [
    b"{nope",
    None,
    b"\xff\xfe",
    b"[]",
    json.dumps({"event_id": "bad", "payload": {}}).encode(),
    json.dumps({"event_id": "bad", "destination_id": "nobody", "payload": {}}).encode(),
]


@dataclass
class Plan:
    """All decisions of a run."""

    seed: int
    scale: Scale
    sim_seed: int = 0
    twilio_ahead: float = 0.0  # seconds, of Twilio's clock before ours
    destinations: list = field(default_factory=list)
    events: list = field(default_factory=list)
    records: list = field(default_factory=list)  # in order of time
    bad_keys: set = field(default_factory=set)
    duplicates: int = 0
    foreign: list = field(default_factory=list)  # (to, body, age in seconds)
    disturbances: list = field(default_factory=list)

    def expected(self):
        """What must come of the events: [{event_id, destination_id, to, body}]."""
        to = {destination.id: destination.to for destination in self.destinations}
        return [
            {"event_id": e.event_id, "destination_id": e.destination_id, "to": to[e.destination_id], "body": e.body}
            for e in self.events
        ]


def _destinations(rng, scale):
    """A fifth has bodies that say nothing of the event; a few have much to do, though not more than they can."""
    average = scale.events / scale.destinations
    busy = max(1.0, min(4.0, 0.6 * scale.seconds / average))
    return [
        Destination(f"des_{n:04}", phone(n), same=n % 5 == 0, weight=busy if rng.random() < 0.06 else 1.0)
        for n in range(scale.destinations)
    ]


def _events(rng, scale, destinations):
    chosen = rng.choices(destinations, [destination.weight for destination in destinations], k=scale.events)
    return [
        Event(f"evt_{n:06}", destination.id, rng.uniform(0.0, 0.98) * scale.seconds, same=destination.same)
        for n, destination in enumerate(chosen)
    ]


def _share_bodies(rng, events):
    """Groups of events of one destination get one body: neighbours in time mostly, so that several are on their way."""
    by_destination = {}
    for event in sorted(events, key=lambda event: event.at):
        if event.same:
            by_destination.setdefault(event.destination_id, []).append(event)
    groups = []
    for destination_id, mine in by_destination.items():
        if rng.random() < 0.3:
            rng.shuffle(mine)
        while mine:
            size = rng.choice((1, 2, 2, 3, 3, 5))
            groups.append(mine[:size])
            del mine[:size]
            for event in groups[-1]:
                event.message = f"Offer {len(groups)} of {destination_id} ends soon!"
    return groups


def _duplicate(rng, scale, record):
    """The same again: at once or much later, in the same partition or another."""
    at = record.at + rng.choice((0.0, rng.uniform(0.0, 2.0), rng.uniform(0.0, 1.0) * (scale.seconds - record.at)))
    partition = rng.choice((record.partition, rng.randrange(PARTITIONS)))
    return Record(min(at, scale.seconds), partition, record.key, record.value)


def make(seed, scale):
    rng = random.Random(seed)
    plan = Plan(seed, scale, sim_seed=rng.getrandbits(32), twilio_ahead=rng.uniform(-CLOCK_OFF, CLOCK_OFF))
    plan.destinations = _destinations(rng, scale)
    plan.events = _events(rng, scale, plan.destinations)
    groups = _share_bodies(rng, plan.events)
    records = [Record(event.at, rng.randrange(PARTITIONS), event.event_id, event.value()) for event in plan.events]
    again = [_duplicate(rng, scale, record) for record in rng.sample(records, max(1, scale.events // 20))]
    plan.duplicates = len(again)
    bad = [
        Record(rng.uniform(0.0, 0.98) * scale.seconds, rng.randrange(PARTITIONS), f"bad-{n}", value)
        for n, value in enumerate(BAD_RECORDS)
    ]
    plan.bad_keys = {record.key for record in bad}
    plan.records = sorted(records + again + bad, key=lambda record: record.at)
    to = {destination.id: destination.to for destination in plan.destinations}
    for group in rng.sample(groups, (len(groups) + 4) // 5):
        for _ in range(rng.randint(1, 3)):
            plan.foreign.append((to[group[0].destination_id], group[0].body, rng.uniform(*FOREIGN_AGES)))
    plan.disturbances = disturbances(rng, scale)
    return plan


# ---- settings ----


def worker_settings():
    """Everything soon, so that much happens."""
    return {
        "twilio_timeout": f"{TIMEOUT}s",
        "lease": f"{LEASE}s",
        "reconcile_delay": f"{LOOKED_UP_AFTER}s",
        "retry_base": "500ms",
        "retry_max": "3s",
        "max_attempts": 8,
        "kafka_reconnect_backoff_max_ms": 500,
        "status_poll_delay": "2s",
        "status_poll_rate": 200,
    }


def planted(plan):
    """Arguments for Sim.plant(): what another system sent through the same account, with the same media."""
    same = {"account_sid": ACCOUNT, "from_": SENDER, "media_urls": [OWL]}
    return [{**same, "to": to, "body": body, "age_ms": int(1000 * age)} for to, body, age in plan.foreign]


SECRET = TOKEN
