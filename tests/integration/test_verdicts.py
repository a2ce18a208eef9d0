"""Each of Twilio's error codes as the answer to a send: what is concluded, and whether the destination pauses."""

from dataclasses import dataclass

import pytest

from harness.wait import until

MESSAGE, DESTINATION, ACCOUNT = "message", "destination", "account"


@dataclass
class Answer:
    """What Twilio answers, and what the attempt ends as. code None: no JSON, the status alone has to do."""

    code: int | None
    status: int
    outcome: str
    scope: str
    reason: str

    @property
    def busy(self):
        return self.reason == "TOO_MANY_REQUESTS" and self.scope == ACCOUNT

    @property
    def parked(self):
        return self.scope != MESSAGE

    @property
    def state(self):
        """A send that may have been made is never pending: it is looked up first."""
        return {"retry": "pending"}.get(self.outcome, self.outcome)

    def __str__(self):
        return f"{self.status} with {self.code}"


# Every code that we know of, with the status that Twilio has for it, or 400 where nobody has seen one.
CODES = [
    Answer(10001, 403, "retry", ACCOUNT, "ACCOUNT_INACTIVE"),
    Answer(11200, 400, "failed", MESSAGE, "FETCH_FAILED"),
    Answer(11210, 400, "failed", MESSAGE, "FETCH_FAILED"),
    Answer(11220, 400, "failed", MESSAGE, "FETCH_FAILED"),
    Answer(11751, 400, "failed", MESSAGE, "MEDIA_TOO_LARGE"),
    Answer(12300, 400, "failed", MESSAGE, "MEDIA_TYPE_INVALID"),
    Answer(14107, 400, "retry", MESSAGE, "PAIR_RATE_LIMIT"),
    Answer(20003, 401, "retry", ACCOUNT, "AUTHENTICATION_FAILED"),
    Answer(20005, 403, "retry", ACCOUNT, "ACCOUNT_INACTIVE"),
    Answer(20006, 403, "retry", ACCOUNT, "ACCESS_DENIED"),
    Answer(20008, 403, "retry", DESTINATION, "TEST_CREDENTIALS"),
    Answer(20403, 403, "retry", ACCOUNT, "ACCOUNT_CLOSED"),
    Answer(20404, 404, "retry", DESTINATION, "ACCOUNT_NOT_FOUND"),
    Answer(20422, 422, "failed", MESSAGE, "PARAMETER_INVALID"),
    Answer(20426, 426, "retry", DESTINATION, "UPGRADE_REQUIRED"),
    Answer(20429, 429, "retry", ACCOUNT, "TOO_MANY_REQUESTS"),
    Answer(20500, 500, "unknown", MESSAGE, "SERVER_ERROR"),
    Answer(20503, 503, "unknown", MESSAGE, "SERVER_ERROR"),
    Answer(20504, 500, "unknown", MESSAGE, "SERVER_ERROR"),
    Answer(21211, 400, "failed", MESSAGE, "RECIPIENT_INVALID"),
    Answer(21212, 400, "retry", DESTINATION, "SENDER_INVALID"),
    Answer(21214, 400, "failed", MESSAGE, "RECIPIENT_UNREACHABLE"),
    Answer(21217, 400, "failed", MESSAGE, "RECIPIENT_INVALID"),
    Answer(21265, 400, "failed", MESSAGE, "RECIPIENT_IS_SHORT_CODE"),
    Answer(21266, 400, "failed", MESSAGE, "RECIPIENT_IS_SENDER"),
    Answer(21408, 400, "retry", DESTINATION, "REGION_NOT_ENABLED"),
    Answer(21601, 400, "retry", DESTINATION, "SENDER_NOT_CAPABLE"),
    Answer(21602, 400, "failed", MESSAGE, "BODY_REQUIRED"),
    Answer(21603, 400, "retry", DESTINATION, "SENDER_MISSING"),
    Answer(21604, 400, "failed", MESSAGE, "RECIPIENT_MISSING"),
    Answer(21606, 400, "retry", DESTINATION, "SENDER_NOT_CAPABLE"),
    Answer(21607, 400, "retry", DESTINATION, "SENDER_NOT_TRIAL_NUMBER"),
    Answer(21608, 400, "failed", MESSAGE, "RECIPIENT_NOT_VERIFIED"),
    Answer(21609, 400, "retry", DESTINATION, "STATUS_CALLBACK_INVALID"),
    Answer(21610, 400, "failed", MESSAGE, "RECIPIENT_OPTED_OUT"),
    Answer(21611, 429, "retry", DESTINATION, "SENDER_QUEUE_FULL"),
    Answer(21612, 400, "failed", MESSAGE, "RECIPIENT_UNREACHABLE"),
    Answer(21614, 400, "failed", MESSAGE, "RECIPIENT_NOT_MOBILE"),
    Answer(21616, 400, "retry", DESTINATION, "SENDER_AMBIGUOUS"),
    Answer(21617, 400, "failed", MESSAGE, "BODY_TOO_LONG"),
    Answer(21618, 400, "failed", MESSAGE, "BODY_REFUSED"),
    Answer(21619, 400, "failed", MESSAGE, "CONTENT_REQUIRED"),
    Answer(21620, 400, "failed", MESSAGE, "MEDIA_URL_INVALID"),
    Answer(21621, 400, "retry", DESTINATION, "SENDER_NOT_CAPABLE"),
    Answer(21622, 400, "retry", DESTINATION, "MMS_NOT_ENABLED"),
    Answer(21623, 400, "failed", MESSAGE, "MEDIA_URLS_COUNT"),
    Answer(21624, 400, "retry", DESTINATION, "VALIDITY_PERIOD_INVALID"),
    Answer(21635, 400, "failed", MESSAGE, "RECIPIENT_IS_LANDLINE"),
    Answer(21659, 400, "retry", DESTINATION, "SENDER_INVALID"),
    Answer(21660, 400, "retry", DESTINATION, "SENDER_NOT_OWNED"),
    Answer(21661, 400, "retry", DESTINATION, "SENDER_NOT_CAPABLE"),
    Answer(21701, 404, "retry", DESTINATION, "MESSAGING_SERVICE_NOT_FOUND"),
    Answer(21702, 400, "retry", DESTINATION, "MESSAGING_SERVICE_UNAVAILABLE"),
    Answer(21703, 400, "failed", MESSAGE, "MESSAGING_SERVICE_NOT_CAPABLE"),
    Answer(21704, 400, "retry", DESTINATION, "MESSAGING_SERVICE_EMPTY"),
    Answer(21705, 400, "retry", DESTINATION, "MESSAGING_SERVICE_INVALID"),
    Answer(30001, 400, "retry", DESTINATION, "SENDER_QUEUE_FULL"),
    Answer(30002, 403, "retry", ACCOUNT, "ACCOUNT_SUSPENDED"),
    Answer(30003, 400, "failed", MESSAGE, "HANDSET_UNREACHABLE"),
    Answer(30004, 400, "failed", MESSAGE, "MESSAGE_BLOCKED"),
    Answer(30005, 400, "failed", MESSAGE, "HANDSET_UNKNOWN"),
    Answer(30006, 400, "failed", MESSAGE, "CARRIER_UNREACHABLE"),
    Answer(30007, 400, "failed", MESSAGE, "MESSAGE_FILTERED"),
    Answer(30008, 400, "unknown", MESSAGE, "DELIVERY_ERROR"),
    Answer(30010, 400, "failed", MESSAGE, "PRICE_TOO_HIGH"),
    Answer(30011, 400, "failed", MESSAGE, "MMS_NOT_SUPPORTED"),
    Answer(30017, 400, "retry", MESSAGE, "CARRIER_CONGESTED"),
    Answer(30019, 400, "failed", MESSAGE, "MEDIA_TOO_LARGE"),
    Answer(30022, 400, "retry", DESTINATION, "CARRIER_RATE_LIMIT"),
    Answer(30023, 400, "retry", DESTINATION, "CARRIER_DAILY_LIMIT"),
    Answer(30024, 400, "retry", DESTINATION, "SENDER_NOT_PROVISIONED"),
    Answer(30027, 400, "retry", DESTINATION, "CARRIER_DAILY_LIMIT"),
    Answer(30029, 400, "retry", DESTINATION, "CONTENT_RETENTION_INVALID"),
    Answer(30030, 400, "retry", DESTINATION, "ADDRESS_RETENTION_INVALID"),
    Answer(30032, 400, "retry", DESTINATION, "SENDER_NOT_VERIFIED"),
    Answer(30033, 400, "retry", DESTINATION, "CAMPAIGN_SUSPENDED"),
    Answer(30034, 400, "retry", DESTINATION, "SENDER_NOT_REGISTERED"),
    Answer(30035, 400, "retry", DESTINATION, "SENDER_NOT_READY"),
    Answer(30036, 400, "failed", MESSAGE, "VALIDITY_EXPIRED"),
    Answer(30037, 400, "retry", ACCOUNT, "MESSAGING_DISABLED"),
    Answer(30410, 400, "unknown", MESSAGE, "PROVIDER_TIMEOUT"),
    Answer(30450, 400, "failed", MESSAGE, "FRAUD_BLOCKED"),
    Answer(30453, 400, "failed", MESSAGE, "FRAUD_BLOCKED"),
    Answer(30454, 429, "retry", ACCOUNT, "DAILY_LIMIT"),
    Answer(30485, 400, "failed", MESSAGE, "FRAUD_BLOCKED"),
    Answer(30500, 400, "unknown", MESSAGE, "SERVER_ERROR"),
    Answer(30610, 400, "retry", MESSAGE, "QUIET_HOURS"),
    Answer(30615, 400, "retry", MESSAGE, "QUIET_HOURS"),
    Answer(63017, 429, "retry", ACCOUNT, "TOO_MANY_REQUESTS"),
    Answer(63018, 429, "retry", ACCOUNT, "TOO_MANY_REQUESTS"),
    Answer(63019, 400, "failed", MESSAGE, "MEDIA_FETCH_FAILED"),
    Answer(63021, 400, "failed", MESSAGE, "MEDIA_INVALID"),
    Answer(63038, 429, "retry", ACCOUNT, "DAILY_LIMIT"),
    Answer(70051, 403, "retry", ACCOUNT, "API_KEY_RESTRICTED"),
    Answer(90009, 409, "unknown", MESSAGE, "MESSAGE_SID_CONFLICT"),
    Answer(90010, 403, "retry", ACCOUNT, "ACCOUNT_INACTIVE"),
]

OTHERS = [
    # A gateway's 5xx is no "not processed", whatever it quotes.
    Answer(20429, 503, "unknown", MESSAGE, "SERVER_ERROR"),
    Answer(20003, 502, "unknown", MESSAGE, "SERVER_ERROR"),
    Answer(21211, 500, "unknown", MESSAGE, "SERVER_ERROR"),
    # Codes that nobody knows: the status decides.
    Answer(29999, 400, "failed", MESSAGE, "REQUEST_REFUSED"),
    Answer(29999, 401, "retry", ACCOUNT, "AUTHENTICATION_FAILED"),
    Answer(29999, 403, "retry", ACCOUNT, "AUTHENTICATION_FAILED"),
    Answer(29999, 404, "retry", DESTINATION, "ACCOUNT_NOT_FOUND"),
    Answer(29999, 408, "unknown", MESSAGE, "TIMEOUT"),
    Answer(29999, 429, "retry", ACCOUNT, "TOO_MANY_REQUESTS"),
    Answer(29999, 500, "unknown", MESSAGE, "SERVER_ERROR"),
    # No code at all.
    Answer(None, 302, "retry", DESTINATION, "REDIRECTED"),
    Answer(None, 400, "failed", MESSAGE, "REQUEST_REFUSED"),
    Answer(None, 407, "retry", DESTINATION, "ACCESS_DENIED"),
    Answer(None, 408, "unknown", MESSAGE, "TIMEOUT"),
    Answer(None, 425, "retry", MESSAGE, "TOO_MANY_REQUESTS"),
    Answer(None, 429, "retry", ACCOUNT, "TOO_MANY_REQUESTS"),
    Answer(None, 451, "retry", DESTINATION, "ACCESS_DENIED"),
    Answer(None, 502, "unknown", MESSAGE, "SERVER_ERROR"),
]

ANSWERS = CODES + OTHERS

# What stands about a destination beside its last attempt, in one snapshot: one that is parked is tried again in the
# meantime, and its pause has grown then. Of several rows of pacing the newest counts.
LAST = """
select d.event_id, d.state, d.budget_spent, d.next_attempt_at, a.attempt, a.outcome, a.reason, a.http_status,
       a.error_code, a.message_sid, a.finished_at, p.trouble, p.parked_reason,
       p.parked_until = '-infinity' as never_parked, nullif(p.parked_until, '-infinity') - a.finished_at as pause,
       d.next_attempt_at - a.finished_at as own_pause
  from mms.deliveries d
  join mms.attempts a on a.destination_id = d.destination_id and a.delivery_id = d.id and a.attempt = d.attempts
  cross join lateral (select * from mms.pacing p where p.destination_id = d.destination_id order by era desc limit 1) p
"""


def check_pause(name, seconds, least):
    """A pause begins when the answer was judged, a little after it was read."""
    assert least <= seconds < least + 1.0, name


def check_parked(answer, row):
    name = str(answer)
    assert row["parked_reason"] == answer.reason, name
    assert row["trouble"] == row["attempt"], name
    check_pause(name, row["pause"].total_seconds(), (1 if answer.busy else 10) * 2 ** (row["trouble"] - 1))


def check_spent(answer, row):
    """Only what is the destination's trouble alone costs the event nothing."""
    name = str(answer)
    spends = answer.busy or not answer.parked
    assert row["budget_spent"] == (row["attempt"] if spends else 0), name
    if answer.outcome == "retry" and spends:
        check_pause(name, row["own_pause"].total_seconds(), 3600)


def test_every_answer(system):
    """Each for a destination of its own, all at once."""
    for i, answer in enumerate(ANSWERS):
        to = f"+1555888{i:04}"
        if answer.code is None:
            system.sim.fault("status", {"to": to}, status=answer.status)
        else:
            system.sim.fault("error", {"to": to}, status=answer.status, code=answer.code)
        system.destination(f"d{i}", to=to)
        # A policy of one pause, without chance: what is tried again by it is not tried again in this test.
        retry = {"strategy": "linear", "count": 3, "interval": 3600_000}
        system.produce(system.event(f"e{i}", f"d{i}", retry=retry), key=str(i))
    system.worker(twilio_timeout="4s", lease="20s", retry_max="1h")
    rows = until(lambda: all_tried(system), 60, "an attempt of each")
    for i, answer in enumerate(ANSWERS):
        row, name = rows[f"e{i}"], str(answer)
        seen = (row["state"], row["outcome"], row["reason"], row["http_status"], row["error_code"], row["message_sid"])
        assert seen == (answer.state, answer.outcome, answer.reason, answer.status, answer.code, None), name
        if answer.parked:
            check_parked(answer, row)
        else:
            assert (row["never_parked"], row["parked_reason"], row["trouble"]) == (True, None, 0), name
        check_spent(answer, row)
    assert system.sim.messages() == []


def all_tried(system):
    rows = {row["event_id"]: row for row in system.query(LAST + " where d.state <> 'sending'")}
    return rows if len(rows) == len(ANSWERS) else None


def test_every_code_once():
    """The list above is in order and complete, as far as its author knew."""
    codes = [answer.code for answer in CODES]
    assert codes == sorted(set(codes)) and len(codes) == 96


@pytest.mark.timeout(90)
def test_too_many_requests(system):
    """The destination pauses longer and longer and burns nothing meanwhile; others don't notice. Then it flows again."""
    busy, calm = "+15558880000", "+15558880001"
    system.sim.fault("error", {"to": busy}, status=429, code=20429, times=3)
    system.destination("busy", to=busy)
    system.destination("calm", to=calm)
    policy = {"strategy": "linear", "count": 5, "interval": 10}
    system.produce(*[system.event(f"busy-{i}", "busy", retry=policy) for i in range(3)])
    system.produce(*[system.event(f"calm-{i}", "calm") for i in range(4)])
    system.worker()
    system.wait_states(accepted=7, timeout=60)
    attempts = system.query("select * from mms.attempts where destination_id = 'busy' order by started_at")
    assert [a["outcome"] for a in attempts] == ["retry"] * 3 + ["accepted"] * 3, "the others waited"
    for n, (refused, following) in enumerate(zip(attempts[:3], attempts[1:])):
        check_pause(f"after {n + 1}", (following["started_at"] - refused["finished_at"]).total_seconds(), 2**n)
    # Each refusal was counted by the event that met it.
    spent = system.value("select sum(budget_spent) from mms.deliveries where destination_id = 'busy'")
    assert spent == 6
    assert system.value("select max(attempts) from mms.deliveries where destination_id = 'calm'") == 1
    gap = system.value("select max(gap) from (select started_at - lag(started_at) over (order by started_at) as gap"
                       " from mms.attempts where destination_id = 'calm') g")  # fmt: skip
    assert gap.total_seconds() < 1.5
    health = system.query("select trouble, parked_until, parked_reason from mms.destination_health where destination_id = 'busy'")
    assert health == [{"trouble": 0, "parked_until": None, "parked_reason": None}]
    assert all(gap["early"] == 0 for gap in system.sim.gaps().values())
