"""The log: a line for each attempt, no phone numbers, no message, and no floods."""

import json
import re

import pytest

from harness.system import config
from harness.wait import until, until_equal

TO = "+15557770000"
MASKED = "+155******00"
SECRET_TEXT = "a word for nobody else"
SECRET_MEDIA = "https://media.example.com/private/owl.png?key=0123456789"
TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def attempts(worker):
    """{(event_id, attempt): line}"""
    lines = worker.log_lines("attempt")
    found = {(line["event_id"], line["attempt"]): line for line in lines}
    assert len(found) == len(lines), "an attempt has two lines"
    return found


def same(line, row):
    """A line against the evidence."""
    for name in ("event_id", "destination_id", "attempt", "outcome", "reason", "http_status", "error_code", "message_sid"):
        assert line.get(name) == row[name], (name, line, row)
    assert line["level"] == "info"
    for name in ("slot_at", "finished_at", "next_attempt_at"):
        assert (line.get(name) is None) == (row[name] is None), (name, line, row)
        assert row[name] is None or re.fullmatch(TIME, line[name]), line
    if row["started_at"] is None:
        assert "lateness_ms" not in line and "latency_ms" not in line
    else:
        late = (row["started_at"] - row["slot_at"]).total_seconds() * 1000
        assert abs(line["lateness_ms"] - late) <= 1
    assert ("latency_ms" in line) == (row["http_status"] is not None)


@pytest.mark.timeout(120)
def test_each_attempt_has_its_line(system):
    """Accepted, tried again, failed, refused, expired, unknown: what the evidence says, at level info, without the message."""
    numbers = {"good": TO, "bad": "+15557770001", "busy": "+15557770002", "lost": "+15557770003"}
    for name, number in numbers.items():
        system.destination(name, to=number, media_urls=[SECRET_MEDIA], body_template=SECRET_TEXT)
    system.destination("broken", media_urls=["{{payload.nothing}}"], body_template=SECRET_TEXT)
    # Twilio's own words, with what isn't for the log in them.
    words = f"The 'To' number {numbers['bad']} is not valid for {SECRET_MEDIA}."
    system.sim.fault("error", {"to": numbers["bad"]}, status=400, code=21211, message=words)
    system.sim.fault("error", {"to": numbers["busy"]}, status=429, code=20429, times=1)
    system.sim.fault("drop", {"to": numbers["lost"]})
    system.produce(*[system.event(f"{name}-1", name) for name in (*numbers, "broken")])
    worker = system.worker(log_level="debug", retry_base="10ms", retry_max="20ms").wait_ready()
    system.wait_states(accepted=2, failed=2, unknown=1, timeout=60)
    rows = system.attempts()
    until_equal(lambda: set(attempts(worker)), {(row["event_id"], row["attempt"]) for row in rows}, 10, "a line for each")
    assert {row["outcome"] for row in rows} == {"accepted", "retry", "failed", "unknown"}
    for row in rows:
        same(attempts(worker)[row["event_id"], row["attempt"]], row)
    said = attempts(worker)["bad-1", 1]["error"]
    assert "The 'To' number +155******01 is not valid for (URL)" in said
    text = worker.log_text()
    assert SECRET_TEXT not in text and "media.example.com" not in text
    assert not re.search(r"\+\d{7}", text)


def test_phone_numbers_are_masked_unless_asked_for(system):
    """In every line, whoever writes it; MMS_LOG_PHONE_NUMBERS=true leaves them as they are. Ids stay, whatever they look like."""
    digits = "+12345678901"
    for shown in ("false", "true"):
        name = f"{shown}-{digits}"
        system.destination(name, to=TO)
        system.sim.fault("error", {"to": TO}, status=400, code=21211, message=f"no such number: {TO}")
        worker = system.worker(log_phone_numbers=shown, log_level="debug").wait_ready()
        system.produce(system.event(f"e-{name}", name))
        line = until(lambda w=worker, n=name: attempts(w).get((f"e-{n}", 1)), 20, "the attempt")
        assert (line["event_id"], line["destination_id"]) == (f"e-{name}", name), "an id is masked"
        assert line["error"] == f"no such number: {MASKED if shown == 'false' else TO}"
        assert (TO in worker.log_text()) == (shown == "true")
        assert worker.stop() == 0
    bad = system.worker(log_phone_numbers="perhaps")
    until(lambda: not bad.alive, 10, "its end")
    assert bad.returncode == 2 and "MMS_LOG_PHONE_NUMBERS" in bad.log_text()
    system.workers.remove(bad)


@pytest.mark.timeout(120)
def test_a_flood_is_one_line_with_a_count(system):
    """Fifty destinations with the same warning: ten lines of it, then how many more; attempts are no warnings."""
    whole = json.dumps(config(to="+15557770000", max_price=0))
    system.query(
        "insert into mms.destinations (id, config)"
        " select 'd' || n, jsonb_set(%s::jsonb, '{to}', to_jsonb('+1555777' || to_char(n, 'FM0000'))) from generate_series(1, 50) n",
        whole,
    )
    worker = system.worker(log_format="json").wait_ready()
    system.produce(*[system.event(f"e{n}", f"d{n}") for n in range(1, 51)])
    until(lambda: len(attempts(worker)) == 50, 30, "the attempts")
    warned = worker.log_lines("destination")
    assert len(warned) == 10 and all(line["level"] == "warn" and "warning" in line for line in warned), warned
    until(lambda: worker.log_lines("destination: repeated"), 20, "the count")
    (line,) = worker.log_lines("destination: repeated")
    assert line["level"] == "warn" and line["count"] == 40
    # What is held back is counted at the end as well.
    system.query("update mms.destinations set name = 'again'")
    system.produce(*[system.event(f"f{n}", f"d{n}") for n in range(1, 51)])
    until(lambda: len(attempts(worker)) == 100, 30, "the attempts")
    assert worker.stop() == 0
    assert [line["count"] for line in worker.log_lines("destination: repeated")] == [40, 40]


def test_a_callback_url_that_twilio_cannot_reach(system):
    """A private or misspelt host is worth a warning at the start, if Twilio itself is out there."""
    for url, base, words in (
        ("https://10.0.0.7/x", "https://api.twilio.com", "private"),
        ("https://grün.example/x", "https://api.twilio.com", "not ASCII"),
        ("https://mms.example.com/x", "https://api.twilio.com", None),
        ("http://127.0.0.1:9/x", system.sim.base_url, None),
    ):
        worker = system.worker(status_callback_url=url, twilio_base_url=base)
        until(lambda w=worker: w.log_lines("running"), 10, "its start")
        warned = [line for line in worker.log_lines() if "MMS_STATUS_CALLBACK_URL" in line["message"]]
        assert len(warned) == (words is not None), warned
        assert not warned or (words in warned[0]["reason"] and warned[0]["level"] == "warn")
        assert worker.stop() == 0


def test_every_line_is_json(system):
    """Also those of libraries: nothing goes to stderr but through the log."""
    system.destination("d", to=TO)
    worker = system.worker(log_level="debug").wait_ready()
    system.produce(system.event("e", "d"))
    system.wait_states(accepted=1)
    assert worker.stop() == 0
    for line in worker.log_text().splitlines():
        assert set(json.loads(line)) >= {"time", "level", "message"}, line


def test_text_is_for_people(system):
    """The same attempt as text: masked, one line."""
    system.destination("d", to=TO)
    system.sim.fault("error", {"to": TO}, status=400, code=21211, message=f"no such number: {TO}")
    system.produce(system.event("e", "d"))
    worker = system.worker(log_format="text")
    system.wait_states(failed=1)
    (line,) = until(lambda: [line for line in worker.log_text().splitlines() if " attempt event_id=e " in line], 10, "its line")
    assert re.match(TIME + " info  attempt event_id=e destination_id=d attempt=1 outcome=failed ", line)
    assert f'error="no such number: {MASKED}"' in line
