"""mms-worker top: numbers that equal SQL's, a terminal that is given back, and what is shown while a part is away."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from harness import BIN
from harness.process import free_port
from harness.wait import until

pytestmark = pytest.mark.timeout(120)

NOWHERE = {"kafka_bootstrap_servers": f"127.0.0.1:{free_port()}"}


@pytest.fixture
def busy(system):
    """Two workers; a destination that sends, one that is parked, one that is disabled, one whose events are done."""
    for id in ("des_busy", "des_off", "des_done"):
        system.destination(id)
    system.destination("des_parked", auth={"account_sid": "AC" + "9" * 32, "auth_token": "wrong"})
    system.sim._call("POST", "accounts", json={"account_sid": "AC" + "9" * 32, "auth_token": "right"})
    system.query("update mms.destinations set disabled_at = now() where id = 'des_off'")
    workers = [system.worker() for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    until(lambda: [worker.partitions() for worker in workers] == [6, 6], 30, "both to have their share")
    system.produce(*[system.event(f"b{n}", "des_busy") for n in range(300)])
    system.produce(*[system.event(f"p{n}", "des_parked") for n in range(7)])
    system.produce(*[system.event(f"o{n}", "des_off") for n in range(4)])
    system.produce(system.event("d0", "des_done"))
    until(lambda: system.value("select count(*) from mms.deliveries") == 312, 20, "all to be taken in")
    until(lambda: system.value("select count(*) from mms.attempts where destination_id = 'des_done'"), 20, "a send")
    until(
        lambda: system.value("select parked_until > now() from mms.pacing where destination_id = 'des_parked'"), 20, "parking"
    )
    return workers


def frame(system, *words, **settings):
    """One frame as JSON."""
    done = system.command("top", "--json", *words, **settings)
    assert done.status == 0, done.err
    return json.loads(done.out)


def test_numbers_equal_sql(system, busy):
    """What is shown is what SQL says, before and after; who needs attention comes first; each worker has its partitions."""
    counts = """
        select destination_id, (select count(*) from mms.deliveries w
                                 where w.destination_id = p.destination_id and w.state = 'pending') as waiting,
               (select count(*) from mms.attempts a where a.destination_id = p.destination_id
                   and a.outcome = 'accepted' and a.finished_at > now() - interval '1 minute') as accepted,
               (select count(*) from mms.attempts a where a.destination_id = p.destination_id
                   and a.outcome = 'retry' and a.finished_at > now() - interval '1 minute') as retry
          from mms.pacing p"""
    until(lambda: system.value("select count(*) from mms.attempts where destination_id = 'des_busy'") >= 12, 30, "sends")
    before = {row["destination_id"]: row for row in system.query(counts)}
    sent = system.value("select count(*) from mms.attempts where started_at is not null")
    seen = frame(system)
    after = {row["destination_id"]: row for row in system.query(counts)}
    shown = {row["destination_id"]: row for row in seen["destinations"]}
    assert set(shown) == set(before) and seen["destinations_all"] == 4
    for id, row in shown.items():
        for name in ("waiting", "accepted", "retry"):
            low, high = sorted((before[id][name], after[id][name]))
            assert low <= row[name] <= high, (id, name)
    assert seen["destinations"][0]["destination_id"] == "des_parked"
    parked = shown["des_parked"]
    assert parked["condition"] == "parked" and parked["parked_reason"] == "AUTHENTICATION_FAILED"
    assert 0 <= parked["parked_s"] <= 600 and parked["waiting"] in (6, 7)  # one may be its probe by now
    assert (shown["des_off"]["condition"], shown["des_off"]["waiting"]) == ("disabled", 4)
    assert (shown["des_done"]["condition"], shown["des_done"]["oldest_s"]) == ("active", None)
    assert 8 <= shown["des_busy"]["sends_last_10s"] <= 10 and shown["des_busy"]["oldest_s"] >= 0
    assert (seen["parked"], seen["disabled"]) == (1, 1) and seen["waiting"] >= 11 + shown["des_busy"]["waiting"] - 1
    assert sent <= seen["sent_last_minute"] <= sent + 3
    members = {row["worker"]: row for row in seen["workers"]}
    assert set(members) == {worker.id for worker in busy}
    assert sum(row["sent_last_minute"] for row in seen["workers"]) == seen["sent_last_minute"]
    ranges = {row["partitions"].removeprefix(system.events_topic + " ") for row in seen["workers"]}
    assert ranges == {"0-5", "6-11"} and all(row["member"] for row in seen["workers"])
    assert seen["group"]["state"] == "Stable"


def test_lag_is_what_is_not_committed(system):
    """The lag of the group is the end of its topic less what was committed."""
    worker = system.worker().wait_ready()
    system.destination("des")
    system.produce(*[system.event(f"e{n}", "des") for n in range(5)])
    until(lambda: frame(system)["group"]["lag"] == {system.events_topic: 0}, 20, "all to be committed")
    worker.stop()
    system.produce(*[system.event(f"f{n}", "des") for n in range(9)])
    seen = frame(system)
    assert seen["group"]["lag"] == {system.events_topic: 9}
    assert seen["group"]["state"] == "Empty"
    assert [(row["worker"], row["member"]) for row in seen["workers"] if row["member"]] == []


def test_plain_text(system, busy):
    """A frame on paper: at most 80 columns, no escape sequence; --once is implied where there is no terminal."""
    for words in ((), ("--once",)):
        done = system.command("top", *words)
        assert done.status == 0 and "\033" not in done.out
        lines = done.out.splitlines()
        assert max(map(len, lines)) <= 80
        assert re.fullmatch(r"mms-worker  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  sent/min \d+", lines[0])
        assert re.fullmatch(r"waiting \d+  sending \d+  unknown 0  parked 1  disabled 1  outbox \d+", lines[1])
        assert lines[3].split() == ["DESTINATION", "WAIT", "OLDEST", "/S", "ACC", "RETRY", "FAIL", "UNKN", "STATE,", "PROBE", "IN"]
        assert re.match(r"des_parked +7 +\d+s +0\.\d +0 +\d +0 +0 parked \d+s AUTHENT", lines[4])
        assert f"{busy[0].id}" in done.out
    wide = subprocess.run(
        [BIN / "mms-worker", "top"], env={**system.env("analyst"), "COLUMNS": "120"}, capture_output=True, text=True, timeout=30
    )
    assert "AUTHENTICATION_FAILED" in wide.stdout and max(map(len, wide.stdout.splitlines())) <= 120


def test_one_destination(system, busy):
    """--destination shows it alone, also if nothing happens there; the totals are those of all."""
    seen = frame(system, "--destination", "des_off")
    assert [row["destination_id"] for row in seen["destinations"]] == ["des_off"]
    assert seen["parked"] == 0 or seen["waiting"] >= 11
    assert frame(system, "--destination", "des_none")["destinations"] == []


def test_many_destinations(system):
    """More destinations than lines: the first ones, and how many there are besides."""
    system.query("insert into mms.destinations (id) select 'des_' || g from generate_series(1, 300) g")
    system.query(
        "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset,"
        " next_attempt_at) select 'des_' || g, 'e' || g, '{}', 't', 0, g, now() - g * interval '1 minute'"
        " from generate_series(1, 263) g"
    )
    done = system.command("top", "--once", "--destination", "des_263")
    assert re.search(r"^des_263 +1 ", done.out, re.M)
    done = system.command("top", "--once")
    assert "\n… and 213 more\n" in done.out and done.out.splitlines()[4].startswith("des_263 ")
    seen = frame(system)
    assert seen["destinations_all"] == 263 and seen["waiting"] == 263
    assert [row["destination_id"] for row in seen["destinations"][:2]] == ["des_263", "des_262"]


def test_kafka_is_away(system, busy):
    """PostgreSQL's part is shown, and one line says what Kafka's trouble is."""
    done = system.command("top", "--once", **NOWHERE)
    assert done.status == 0 and done.err == ""
    assert "des_parked" in done.out
    assert re.search(r"^Kafka: .*\n?.*refused", done.out, re.M)
    assert done.out.count("Kafka: ") == 1
    seen = frame(system, **NOWHERE)
    assert "refused" in seen["kafka"] and len(seen["destinations"]) == 4


def test_postgresql_is_away(system, busy):
    """Kafka's part is shown, one line says what PostgreSQL's trouble is, and the exit status is 1."""
    done = system.command("top", "--once", database_url=f"postgresql://u:secret-word@127.0.0.1:{free_port()}/x")
    assert done.status == 1 and done.out.count("PostgreSQL: ") == done.err.count("\n") == 1
    assert f"{system.events_topic} 0-5" in done.out and "secret-word" not in done.out + done.err


def test_intervals(system):
    """--json with --interval writes one frame after the other; what is no interval is refused."""
    with subprocess.Popen(
        [BIN / "mms-worker", "top", "--json", "--interval", "1s"], env=system.env("analyst"), stdout=subprocess.PIPE, text=True
    ) as process:
        frames = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.terminate()
    assert frames[0]["at"] < frames[2]["at"]
    for wrong in ("0s", "2h", "soon"):
        done = system.command("top", "--interval", wrong)
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)


# ---- in a terminal ----


class Terminal:
    """`mms-worker top` in a terminal of its own."""

    def __init__(self, env, width=80, height=24):
        self.master, slave = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.text = ""
        self.process = subprocess.Popen(
            [BIN / "mms-worker", "top", "--interval", "1s"],
            env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, width, height):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        return self.text

    def frames(self):
        """The complete frames so far: lists of lines."""
        return [
            [line.removesuffix("\033[K") for line in part.split("\033[J")[0].split("\r\n")]
            for part in self.read().split("\033[H")[1:]
            if "\033[J" in part
        ]

    def settings(self):
        return termios.tcgetattr(self.slave)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def terminal(system, *size, **settings):
    opened = Terminal(system.env("analyst", **settings), *size)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("how", ["q", "ctrl-c", "term", "hangup"])
def test_the_terminal_is_given_back(system, how):
    """q, Ctrl-C, SIGTERM, SIGHUP: the other screen is left, the cursor is back, and keys are as before."""
    system.destination("des_one")
    with terminal(system) as top:
        until(lambda: len(top.frames()) >= 2, 30, "two frames", interval=0.05)
        assert top.text.startswith("\033[?1049h") and top.settings() != top.before
        assert "every 1 s, q: quit" in top.frames()[0][0]
        if how == "term":
            top.process.send_signal(signal.SIGTERM)
        elif how == "hangup":
            top.process.send_signal(signal.SIGHUP)
        else:
            os.write(top.master, b"q" if how == "q" else b"\x03")
        until(lambda: top.process.poll() is not None, 20, "its end")
        assert top.process.returncode == 0
        assert top.read().endswith("\033[?25h\033[?1049l")
        assert top.settings() == top.before


def test_every_size(system, busy):
    """Frames follow the terminal's size, at once; no line is longer, no frame higher; a wide one shows more."""
    with terminal(system, 80, 24) as top:
        until(lambda: top.frames(), 30, "a frame", interval=0.05)
        for width, height in ((50, 8), (120, 40), (80, 12)):
            seen = len(top.frames())
            began = time.monotonic()
            top.resize(width, height)
            until(lambda: len(top.frames()) > seen + 1, 20, "another frame", interval=0.02)
            assert time.monotonic() - began < 10
            last = top.frames()[-1]
            assert len(last) <= height and max(map(len, last)) <= width
            assert ("AUTHENTICATION_FAILED" in "\n".join(last)) == (width == 120)


def test_a_view_outlives_an_outage(system, busy):
    """While Kafka is away the view goes on, and q is heard."""
    with terminal(system, **NOWHERE) as top:
        until(lambda: len(top.frames()) >= 2, 30, "two frames", interval=0.05)
        assert any(line.startswith("Kafka: ") for line in top.frames()[-1])
        os.write(top.master, b"q")
        until(lambda: top.process.poll() is not None, 20, "its end")
        assert top.process.returncode == 0
