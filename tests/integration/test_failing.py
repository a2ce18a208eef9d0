"""Memory, disks and kernels that give less than they were asked for: `make failing` in short, and what belongs to it."""

import json
import os
import random
import shutil

import pytest

from failing.run import SHORT, Run
from harness import BUILD, Unavailable
from harness.failing import FailingCalls
from harness.process import free_port
from harness.wait import until

TO = "+15557770001"
# How a log can be lost: for bash(1), and what its descriptor is then.
LOGS = {
    "full disk": ("2>/dev/full", "/dev/full"),
    "closed": ("2>&-", "/dev/null"),
    "all closed": ("<&- >&- 2>&-", "/dev/null"),
    "no reader": ("2> >(true)", "pipe:"),
}


def redirected(how):
    """Under what a program runs that has its streams elsewhere."""
    return ["bash", "-c", f'exec "$@" {how}', "bash"]


@pytest.fixture
def calls(system):
    try:
        with FailingCalls(system.database) as calls:
            yield calls
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.timeout(170)
def test_failing_allocations(postgres, kafka, tmp_path):
    """
    Some of the allocations on an event's way fail, each in a process of its own: it ends with status 1 and one line, and
    the next worker brings the event to its end. The seed of a failure, given again as SEED, chooses the same ones.
    """
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"failing: SEED={seed}")
    directory = BUILD / "test" / "logs" / "failing"
    shutil.rmtree(directory, ignore_errors=True)
    try:
        tallies = Run(postgres, kafka, directory, SHORT, seed).everything()
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert not any(tally.failed for tally in tallies), f"SEED={seed}, logs in {directory}"
    assert all(tally.passed for tally in tallies)
    shutil.rmtree(directory)


def test_reads_and_writes_do_less_than_they_were_asked_to(system, calls):
    """Cut to a byte, interrupted, or told to come again: everything works all the same, and no log line is torn."""
    system.sim.fault("status", {"to": TO}, status=500, times=1)
    system.sim.life("queued", {"status": "delivered", "after_ms": 1000})
    system.destination("d", to=TO)
    listen = f"127.0.0.1:{free_port()}"
    callbacks = {"callback_listen": listen, "status_callback_url": f"http://{listen}/twilio/status", "status_poll_rate": "0"}
    short = {"reconcile_delay": "1s", "twilio_timeout": "1s", "retry_base": "1s", "retry_max": "1s"}
    calls.disturb()
    # The log through a pipe, as a container's is.
    worker = system.worker([*redirected("2> >(cat)"), *calls.under], **callbacks, **short).wait_ready()
    sent = system.command("send", "--destination", "d", "--event-id", "e1", "--wait", under=calls.under)
    assert sent.status == 0, sent
    told = "select count(*) from mms.message_statuses where final and source = 'callback' and published_at is not null"
    until(lambda: system.value(told) == 1, 30, "the callback")
    assert [(a["attempt"], a["outcome"]) for a in system.attempts("e1")] == [(1, "retry"), (2, "accepted")]
    assert len(system.sim.messages()) == 1 and len(system.sim.posts()) == 2
    system.produce("no event")
    assert len(system.dead_letters(1)) == 1
    for words in (["event", "e1"], ["check"], ["attempts", "--json"], ["destination", "show", "d"]):
        done = system.command(*words, under=calls.under)
        assert done.status == 0, (words, done)
    assert worker.metric("mms_attempts_total") == 2
    for line in worker.log_text().splitlines():
        json.loads(line)
    assert len(worker.log_lines("attempt")) == 2
    assert min(calls.cut, calls.again, calls.interrupted) > 10, (calls.cut, calls.again, calls.interrupted)


@pytest.mark.parametrize("how", LOGS)
def test_a_log_that_cannot_be_written(system, how):
    """Work goes on without it. Nothing of it gets into a connection, which a closed stream's number could become."""
    streams, stderr = LOGS[how]
    system.destination("d", to=TO)
    worker = system.worker(redirected(streams), log_level="debug")
    system.produce(*[system.event(f"e{i}", "d") for i in range(3)])
    system.wait_states(accepted=3)
    assert sorted(post["body"] for post in system.sim.posts()) == [f"e{i}: hello" for i in range(3)]
    assert worker.alive and not worker.log_text()
    assert os.readlink(f"/proc/{worker.pid}/fd/2").startswith(stderr)


@pytest.mark.parametrize("table", ["deliveries", "attempts"])
def test_a_full_disk_at_postgresql(system, table):
    """53100 for whatever is written: nothing is lost or sent twice, /readyz says so, and all goes on by itself."""
    system.destination("d", to=TO)
    worker = system.worker().wait_ready()
    system.query(
        "create function full_disk() returns trigger language plpgsql as"
        " $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;"
        f" create trigger full_disk before insert on mms.{table} for each row execute function full_disk()"
    )
    system.produce(system.event("e", "d"))
    until(lambda: worker.get("/readyz")[0] == 503, 15, "/readyz to be red")
    assert "No space left on device" in worker.get("/readyz")[1]
    assert system.value(f"select count(*) from mms.{table}") == 0
    system.query(f"drop trigger full_disk on mms.{table}")
    system.wait_states(accepted=1)
    until(lambda: worker.get("/readyz")[0] == 200, 20, "/readyz to be green")
    assert len(system.sim.posts()) == 1 and len(system.attempts("e")) == 1
    assert system.value("select count(*) from mms.rejected_events") == 0
