"""`mms-worker attempts`: the history of attempts."""

import json
import subprocess

import pytest

from harness import BIN
from harness.wait import until_equal

TO = "+15557770000"
FORBIDDEN = "+15557770001"


@pytest.fixture
def history(system):
    """Two destinations with attempts of several outcomes."""
    system.sim.fault("error", {"to": FORBIDDEN}, code=21211)
    for id in ("d1", "d2"):
        system.destination(id, to="{{payload.to}}")
    system.worker()
    for i, to in enumerate((TO, FORBIDDEN, TO)):
        system.produce({"event_id": f"e{i}", "destination_id": "d1", "payload": {"to": to}})
    system.produce({"event_id": "e9", "destination_id": "d2", "payload": {"to": TO}})
    system.wait_states(accepted=3, failed=1)
    return system


def shown(system, *words):
    done = system.command("attempts", "--json", *words)
    assert (done.status, done.err) == (0, "")
    return [(row["event_id"], row["attempt"], row["outcome"]) for row in done.rows()]


def test_the_options_choose(history):
    """By event, destination, outcome, reason, time; the latest N; in the order of time, as the view has them."""
    everything = [(r["event_id"], r["attempt"], r["outcome"]) for r in history.attempts()]
    assert sorted(shown(history)) == sorted(everything) and len(everything) == 4
    assert shown(history, "--destination", "d1") == [("e0", 1, "accepted"), ("e1", 1, "failed"), ("e2", 1, "accepted")]
    assert shown(history, "--event", "e9") == [("e9", 1, "accepted")]
    assert shown(history, "--event", "e9", "--destination", "d1") == []
    assert shown(history, "--outcome", "failed") == [("e1", 1, "failed")]
    (reason,) = {r["reason"] for r in history.attempts("e1")}
    assert shown(history, "--reason", reason) == [("e1", 1, "failed")] == shown(history, "--event=e1", "--reason", reason)
    assert shown(history, "--destination", "d1", "--limit", "1") == [("e2", 1, "accepted")]
    middle = history.value("select finished_at::text from mms.attempt_history where event_id = 'e1'").replace(" ", "T") + ":00"
    assert shown(history, "--destination", "d1", "--since", middle) == [("e2", 1, "accepted")]
    assert len(shown(history, "--since", "1h")) == 4 and shown(history, "--since", "1ms") == []


def test_json_has_what_the_view_has(history):
    (row,) = history.command("attempts", "--event", "e1", "--json").rows()
    (view,) = history.query("select row_to_json(h) as row from mms.attempt_history h where event_id = 'e1'")
    assert row == view["row"]


def test_the_table(history):
    """A heading, a line for each; what strangers write can't move the cursor."""
    history.query("update mms.attempts set reason = E'\\x1b[2J\\nBAD' where outcome = 'failed'")
    done = history.command("attempts", "--destination", "d1")
    heading, *lines = done.out.splitlines()
    assert heading.split() == ["finished_at", "event", "destination", "#", "outcome", "reason", "http", "code", "message"]
    assert [line.split()[2:5] for line in lines] == [["e0", "d1", "1"], ["e1", "d1", "1"], ["e2", "d1", "1"]]
    assert lines[0].split()[-2:] == ["201", "queued"] and "\x1b" not in done.out and " [2J BAD" in lines[1]
    assert max(map(len, done.out.splitlines())) <= 96


def test_follow(system):
    """What was there, then what comes in: each once."""
    system.destination("d1")
    system.worker()
    system.produce(system.event("e0", "d1"))
    system.wait_states(accepted=1)
    log = system.directory / "followed"

    def followed():
        lines = log.read_text().split("\n")[:-1]  # whole ones
        return [json.loads(line)["event_id"] for line in lines]

    with log.open("w") as out:
        following = subprocess.Popen([BIN / "mms-worker", "attempts", "--follow", "--json"], env=system.env("analyst"), stdout=out)
        try:
            until_equal(followed, ["e0"], 20)
            system.produce(*[system.event(f"e{i}", "d1") for i in range(1, 4)])
            until_equal(followed, ["e0", "e1", "e2", "e3"], 30)
            system.produce(system.event("e4", "d1"))
            until_equal(followed, ["e0", "e1", "e2", "e3", "e4"], 30)
        finally:
            following.terminate()
            following.wait(10)


@pytest.mark.parametrize("words, expected", [
    (["--outcome", "great"], "--outcome: 'great' is none, expected accepted, retry, failed, unknown or expired"),
    (["--limit", "0"], "--limit: '0' is not valid, expected a number from 1"),
    (["--limit", "9x"], "--limit: '9x' is not valid"),
    (["--since", "yesterday"], "--since: 'yesterday' is not valid, expected a duration such as 15m"),
])
def test_wrong_options(system, words, expected):
    done = system.command("attempts", *words)
    assert (done.status, done.out) == (2, "") and expected in done.err and done.err.count("\n") == 1
