"""What the demo sends: destinations, Kafka records, and what has to become of each of them."""

import collections
import json
import os
import time
from dataclasses import dataclass, field

from harness.program import Wrong
from harness.system import OWL

ACCEPTED = ("accepted", None)
DELIVERED = ("delivered", None)
REAL_COUNT = 3


@dataclass
class Scenario:
    """
    destinations  (id, name, config) of the rows in mms.destinations
    records       (key, value) of the Kafka messages, in the order of producing
    expected      {event_id: [(outcome, reason) of each attempt]} of every event that becomes a delivery
    rejected      how many records have to be rejected for each reason
    repeated      how many records repeat an event
    fates         {event_id: (message_status, error_code) that its message comes to}; the simulator's lives decide
    faults        what the simulator shall do wrong: arguments of Sim.fault
    lives         what becomes of messages at the simulator: (steps, keyword arguments) of Sim.life
    secrets       texts that may be nowhere but in the destination and in the Authorization header
    telling       event ids whose stories are worth reading
    twilio_url    where Twilio is; None: the simulator
    """

    destinations: list = field(default_factory=list)
    records: list = field(default_factory=list)
    expected: dict = field(default_factory=dict)
    rejected: collections.Counter = field(default_factory=collections.Counter)
    repeated: int = 0
    fates: dict = field(default_factory=dict)
    faults: list = field(default_factory=list)
    lives: list = field(default_factory=list)
    secrets: list = field(default_factory=list)
    telling: list = field(default_factory=list)
    twilio_url: str | None = None

    def destination(self, id, name, account_sid, auth_token, **config):
        config = {
            **config,
            "auth_type": "TWILIO_AUTH_TOKEN",
            "auth": {"account_sid": account_sid, "auth_token": auth_token},
            "rate_limit": 1,
            "rate_limit_period": "second",
        }
        self.destinations.append((id, name, config))
        self.secrets.append(auth_token)

    def event(self, event_id, destination_id, payload, *history):
        """An event that becomes a delivery, with these attempts."""
        ids = {"event_id": event_id, "destination_id": destination_id, "connection_id": "con_demo"}
        self.records.append((event_id, {**ids, "payload": payload}))
        self.expected[event_id] = list(history) or [ACCEPTED]
        if self.simulated and self.expected[event_id][-1] == ACCEPTED:
            self.fates[event_id] = DELIVERED

    def bad(self, reason, value):
        """A record that can't become a delivery."""
        self.records.append((f"bad-{reason.lower()}", value))
        self.rejected[reason] += 1

    def repeat(self, event_id):
        """The same event once more, under another key: perhaps another partition, and another worker."""
        self.records.append((f"again-{event_id}", dict(self.records)[event_id]))
        self.repeated += 1

    @property
    def simulated(self):
        return self.twilio_url is None


# ---- with the simulator ----

# Each destination has an account of its own, so that the simulator's log tells them apart.
_ACCOUNTS = {
    "flash": ("AC" + "1" * 32, "the-secret-token-of-flash"),
    "tickets": ("AC" + "2" * 32, "the-secret-token-of-tickets"),
    "album": ("AC" + "3" * 32, "the-secret-token-of-album"),
}

_LANDLINE = "+15005550009"  # one of Twilio's magic numbers: 400, 21614
_BUSY = "+15557770205"
_CUT_OFF = "+15557770207"
_OLD_PHONE = "+15557770211"

_UNREACHABLE = 30003
_SENT = {"status": "sent", "after_ms": 400}
_DELIVERED = {"status": "delivered", "after_ms": 600}
_UNDELIVERED = {"status": "undelivered", "after_ms": 600, "error_code": _UNREACHABLE}


def simulated():
    """Three destinations, one of them hot; a few events that are bad on purpose."""
    scenario = Scenario()
    _flash(scenario, 25)
    _tickets(scenario, 8)
    _album(scenario, 8)
    _rejected(scenario)
    scenario.repeat("flash-03")
    scenario.telling += ["flash-06", "ticket-07", "old-phone"]
    scenario.lives.append((("queued", _SENT, _DELIVERED), {}))  # of all for which no rule came before
    return scenario


def _flash(scenario, count):
    """The hot one: everything at once, and still one a second."""
    scenario.destination(
        "des_flash", "Flash sale", *_ACCOUNTS["flash"],
        **{"from": "+15550001111"}, to="+15557770100", body_template="{{event_id}}: {{message}}", media_urls=[OWL],
    )  # fmt: skip
    for number in range(1, count + 1):
        scenario.event(f"flash-{number:02}", "des_flash", {"message": f"offer {number} of {count}"})
    scenario.lives.append((("queued", _SENT, _UNDELIVERED), {"match": {"body_contains": "flash-06:"}}))
    scenario.fates["flash-06"] = ("undelivered", _UNREACHABLE)


def _tickets(scenario, count):
    """Templates that take all from the payload. Twilio or the worker has something against five of the events, and of
    one Twilio's answer is lost."""
    scenario.destination(
        "des_tickets", "Tickets", *_ACCOUNTS["tickets"],
        **{"from": "+15550002222"}, to="{{payload.phone}}",
        body_template="Hello {{payload.name}}! {{message}}", media_urls=["{{payload.media_url}}"], sms_fallback=True,
    )  # fmt: skip

    def ticket(event_id, *history, **changes):
        payload = {"phone": "+15557770200", "name": "Ada", "message": "Your ticket.", "media_url": OWL, **changes}
        scenario.event(event_id, "des_tickets", payload, *history)

    for number in range(1, count + 1):
        if number == 5:
            ticket("ticket-05", ("retry", "TOO_MANY_REQUESTS"), ACCEPTED, phone=_BUSY)
        else:
            ticket(f"ticket-{number:02}", phone=f"+155577702{number:02}")
    scenario.faults.append({"name": "error", "match": {"to": _BUSY}, "code": 20429, "retry_after": 2, "times": 1})
    scenario.faults.append({"name": "accept_then_drop", "match": {"to": _CUT_OFF}, "times": 1})
    ticket("old-phone", ("retry", "RECIPIENT_UNREACHABLE"), ACCEPTED, phone=_OLD_PHONE)
    scenario.faults.append({"name": "error", "match": {"to": _OLD_PHONE}, "code": 21612, "times": 1})
    ticket("landline", ("failed", "RECIPIENT_NOT_MOBILE"), phone=_LANDLINE)
    ticket("no-phone", ("failed", "TO_INVALID"), phone="ask at the desk")
    ticket("too-long", ("failed", "BODY_TOO_LONG"), message="la " * 600)


def _album(scenario, count):
    """A messaging service as the sender; one token becomes several pictures."""
    scenario.destination(
        "des_album", "Album", *_ACCOUNTS["album"],
        messaging_service_sid="MG" + "3" * 32, to="{{payload.phone}}",
        body_template="{{payload.album.title}}: {{payload.pictures}}", media_urls=["{{payload.pictures}}"],
    )  # fmt: skip

    def album(event_id, pictures, *history):
        payload = {"phone": "+15557770300", "album": {"title": "Owls"}, "pictures": pictures}
        scenario.event(event_id, "des_album", payload, *history)

    for number in range(1, count + 1):
        album(f"album-{number:02}", [OWL] * (1 + number % 3))
    album("private", ["http://192.168.0.10/owl.png"], ("failed", "MEDIA_URL_INVALID"))


def _rejected(scenario):
    scenario.bad("NOT_JSON", "Dear worker, please send an owl.")
    scenario.bad("DUPLICATE_KEY", '{"event_id": "twice", "destination_id": "des_flash", "event_id": "two"}')
    scenario.bad("DESTINATION_UNKNOWN", {"event_id": "lost", "destination_id": "des_nowhere", "payload": {}})
    scenario.bad("EVENT_ID_INVALID", {"destination_id": "des_flash", "payload": {"message": "who am I?"}})
    scenario.bad("TOMBSTONE", None)


# ---- with Twilio itself ----

VARIABLES = """\
TWILIO=real sends {count} real messages and needs these variables in the environment:
  TWILIO_ACCOUNT_SID      {TWILIO_ACCOUNT_SID}
  TWILIO_AUTH_TOKEN       {TWILIO_AUTH_TOKEN}
  TWILIO_FROM             {sender}
  TWILIO_TO               {TWILIO_TO}
  TWILIO_MEDIA_URL        optional: the picture (default {owl})
For example:
  export TWILIO_ACCOUNT_SID=ACxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
  export TWILIO_FROM=+15550001111 TWILIO_TO=+15557770000
  read -rs TWILIO_AUTH_TOKEN && export TWILIO_AUTH_TOKEN
  make demo TWILIO=real
Each message costs money. See tests/demo/README.md."""

_MEANINGS = {
    "TWILIO_ACCOUNT_SID": "the account: AC and 32 letters or digits",
    "TWILIO_AUTH_TOKEN": "its auth token",
    "TWILIO_TO": "a phone that agreed to this, as +15557770000",
}
_SENDER = "its number that can send MMS (or TWILIO_MESSAGING_SERVICE_SID: MG…)"


def real():
    """A few messages to one phone, as the environment has it. The auth token is taken out of the environment."""
    settings = _environment()
    scenario = Scenario(twilio_url=settings.get("TWILIO_BASE_URL", "https://api.twilio.com"))
    scenario.destination(
        "des_real", "A real phone", settings["TWILIO_ACCOUNT_SID"], settings["TWILIO_AUTH_TOKEN"],
        **{"from": settings.get("TWILIO_FROM")}, messaging_service_sid=settings.get("TWILIO_MESSAGING_SERVICE_SID"),
        to=settings["TWILIO_TO"], body_template="{{message}}", media_urls=[settings.get("TWILIO_MEDIA_URL", OWL)],
    )  # fmt: skip
    for number in range(1, REAL_COUNT + 1):
        message = f"mms-worker demo, {number} of {REAL_COUNT}, {time.strftime('%H:%M')}"
        scenario.event(f"real-{number}", "des_real", {"message": message})
        scenario.telling.append(f"real-{number}")
    return scenario


def _environment():
    """The TWILIO_* variables that are set and not empty. No process that we start shall inherit the token."""
    stripped = {name: value.strip() for name, value in os.environ.items() if name.startswith("TWILIO_")}
    settings = {name: value for name, value in stripped.items() if value}
    os.environ.pop("TWILIO_AUTH_TOKEN", None)
    missing = [name for name in _MEANINGS if name not in settings]
    has_sender = "TWILIO_FROM" in settings or "TWILIO_MESSAGING_SERVICE_SID" in settings
    if missing or not has_sender:
        texts = {name: ("MISSING: " if name in missing else "set: ") + meaning for name, meaning in _MEANINGS.items()}
        sender = ("set: " if has_sender else "MISSING: ") + _SENDER
        raise Wrong(VARIABLES.format(count=REAL_COUNT, owl=OWL, sender=sender, **texts))
    return settings


def announce(scenario):
    """What TWILIO=real is about to do, in lines."""
    _, _, config = scenario.destinations[0]
    sender = config["from"] or config["messaging_service_sid"]
    lines = [
        f"This sends {len(scenario.records)} real picture messages. It costs money.",
        f"  from  {sender}  to  {config['to']}  by  {scenario.twilio_url}",
        f"  picture  {config['media_urls'][0]}",
    ]
    lines += [f"  text     {json.dumps(event['payload']['message'])}" for _, event in scenario.records]
    return lines + ["Ctrl-C within the next three seconds or so stops it before anything is sent."]
