"""Tries the harness on this machine: every server, how long each takes, and whether anything is left behind.

    /usr/bin/python3 tests/harness/selfcheck.py [--broker build/…/mms-broker] [--no-kafka]

One line per check; exit status 1 if one failed. Works as root and as anybody else.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from confluent_kafka import Consumer  # noqa: E402

from harness import BUILD, process, wait  # noqa: E402
from harness.broker import Broker  # noqa: E402
from harness.kafka import Kafka, libs  # noqa: E402
from harness.postgres import Postgres  # noqa: E402
from harness.process import Process  # noqa: E402

DIR = BUILD / "selfcheck"


def timed(what, function):
    """Calls function, prints how long it took, returns what it returned."""
    start = time.monotonic()
    result = function()
    print(f"    {what}: {time.monotonic() - start:.2f} s", flush=True)
    return result


def check_wait():
    """A wait that fails says what it saw, and one that is met returns it."""
    assert wait.until(lambda: [7], 1, "seven") == [7]
    try:
        wait.until_equal(lambda: 41, 42, 0.1, "the answer")
    except wait.TimedOut as error:
        assert "the answer" in str(error) and "41" in str(error), error
    else:
        raise AssertionError("it did not time out")


def check_process():
    """Output, exit status, groups, the killing of one that won't stop, and a start from a thread that ends."""
    with Process(["sh", "-c", "echo $0; exit 3", "hello"], log_path=DIR / "process.log") as done:
        assert done.wait(5) == 3 and done.log_text() == "hello\n", done.log_text()
    stubborn = Process(["sh", "-c", "trap '' TERM; echo set; sleep 100 & wait; sleep 100"], log_path=DIR / "process.log")
    stubborn.wait_for_log("set")
    try:
        stubborn.stop(timeout=0.3)
    except wait.TimedOut:
        assert not stubborn.alive
    else:
        raise AssertionError("it should have had to be killed")
    started = []
    thread = threading.Thread(target=lambda: started.append(Process(["sleep", "100"])))
    thread.start()
    thread.join()
    assert started[0].alive
    started[0].kill()
    assert process.live() == []


def check_postgres():
    """Start, databases, psql, restarts that keep data, an immediate stop."""
    server = Postgres(DIR / "postgres")
    try:
        timed("start", server.start)
        server.create_database("one")
        assert server.psql("one", "create table t(i int); insert into t values (1), (2); select sum(i) from t") == "3\n"
        timed("restart", server.restart)
        timed("restart after a crash", lambda: server.restart("immediate"))
        connection = server.connect("one")
        cursor = connection.cursor()
        cursor.execute("select count(*), current_setting('server_encoding'), current_setting('fsync') from t")
        assert cursor.fetchone() == (2, "UTF8", "on")
        server.drop_database("one")
        assert server.psql("postgres", f"\\connect 'host={server.socket_dir} port={server.port} user=postgres'\nselect 1") == "1\n"
    finally:
        timed("close", server.close)
    assert not (DIR / "postgres" / "pg").exists()


def check_client(broker, topic, partitions):
    """The client side against either broker."""
    written = broker.produce_many(topic, [{"n": n} for n in range(1000)], keys=[str(n % 50) for n in range(1000)])
    assert len(written) == 1000 and broker.partitions(topic) == list(range(partitions))
    assert broker.produce(topic, b"\x00\xff", partition=2, headers=[("trace", b"1")])[0] == 2
    records = timed("consume 1001", lambda: broker.consume(topic))
    assert len(records) == 1001 and sum(broker.end_offsets(topic).values()) == 1001
    last = [record for record in records if record.headers]
    assert len(last) == 1 and last[0].value == b"\x00\xff" and last[0].headers == [("trace", b"1")], last
    assert abs(last[0].timestamp / 1000 - time.time()) < 60
    assert broker.consume(topic, until=lambda seen: any(r.key and r.json()["n"] == 999 for r in seen))
    try:
        broker.consume(topic, until=1002, timeout=0.5)
    except wait.TimedOut as error:
        assert "1001 records" in str(error), error
    else:
        raise AssertionError("it did not time out")
    assert broker.committed("nobody", topic) == {}
    commit_as_group(broker, "somebody", topic)
    assert broker.committed("somebody", topic) == broker.end_offsets(topic)


def commit_as_group(broker, group, topic):
    """Reads a topic to its end as a member of a group, and commits."""
    member = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
    try:
        member.subscribe([topic])
        read = []

        def all_read():
            read.extend(member.consume(500, 0.1))
            return len(read) >= 1001

        timed("read as a group member", lambda: wait.until(all_read, 30, "1001 messages"))
        member.commit(asynchronous=False)
    finally:
        member.close()


def check_broker(binary):
    """The embedded broker."""
    broker = Broker(binary, DIR / "broker", {"events": 4})
    timed("start", broker.start)
    try:
        check_client(broker, "events", 4)
    finally:
        assert timed("stop", broker.stop) == 0


def check_kafka():
    """Apache Kafka: topics, large messages, a stop and a kill that keep port, messages and committed offsets."""
    timed("jars", libs)
    kafka = Kafka(DIR / "kafka")
    try:
        timed("start", kafka.start)
        timed("create a topic", lambda: kafka.create_topic("events", 6, {"retention.ms": 3600000}))
        check_client(kafka, "events", 6)
        kafka.produce("made-by-itself", b"x" * 7_000_000, key="large")
        assert len(kafka.consume("made-by-itself", until=1)[0].value) == 7_000_000
        assert len(kafka.partitions("made-by-itself")) == 12
        before = kafka.committed("somebody", "events")
        timed("stop", kafka.stop)
        timed("start again", kafka.start)
        assert kafka.committed("somebody", "events") == before
        kafka.kill()
        timed("start after a kill", kafka.start)
        assert kafka.committed("somebody", "events") == before and len(kafka.consume("events")) == 1001
        kafka.produce("events", "still works")
    finally:
        timed("close", kafka.close)
    assert not (DIR / "kafka" / "data").exists()


def fail(number, frame):
    """A signal handler: as if a test had failed."""
    raise RuntimeError("failed as it should")


def be_killed():
    """The other side of check_nothing_left: starts what leaves most behind, says so, waits for its end."""
    signal.signal(signal.SIGUSR1, fail)
    unreachable = process.temp_dir("mms-locked-")  # 0700, so that root's PostgreSQL has to go elsewhere
    server = Postgres(unreachable / ("long" * 30), fsync=False).start()
    others = [Process(["sh", "-c", "sleep 100 & sleep 100"])]
    thread = threading.Thread(target=lambda: others.append(Process(["sleep", "100"])))
    thread.start()
    thread.join()
    data = Path(server.psql("postgres", "show data_directory").strip())
    paths = [str(unreachable), str(server.socket_dir), str(data), *posix_memory(server.pid)]
    segment = (data / "postmaster.pid").read_text(encoding="utf-8").split()[-2]
    pids = [server.pid] + [other.pid for other in others]
    print(json.dumps({"pids": pids, "paths": paths, "segment": segment}), flush=True)
    while True:
        signal.pause()


def check_nothing_left():
    """After a kill, a Ctrl-C, a polite end and an exception: no process, no directory, no shared memory."""
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        child = subprocess.Popen(
            [sys.executable, __file__, "--be-killed"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        with child:
            left = json.loads(child.stdout.readline())
            assert all(map(os.path.exists, left["paths"])) and left["segment"] in system_v_segments(), left
            child.send_signal(number)
            child.wait(20)
        wait.until_equal(lambda left=left: remaining(left), [], 15, f"what is left after {number.name}")


def remaining(left):
    """What of a child's belongings is there."""
    found = [pid for pid in left["pids"] if os.path.exists(f"/proc/{pid}")]
    found += [path for path in left["paths"] if os.path.exists(path)]
    return found + [segment for segment in system_v_segments() if segment == left["segment"]]


def system_v_segments():
    """The identifiers of all System V shared memory segments."""
    return [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]]


def posix_memory(pid):
    """The files of POSIX shared memory that a process uses."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"/dev/shm/\S+", maps)))


def run(name, check, *arguments):
    """Runs one check; True if it passed."""
    print(f"{name}", flush=True)
    try:
        check(*arguments)
    except Exception:  # noqa: BLE001 – whatever it is, the next check should still run
        traceback.print_exc()
        print(f"{name}: FAILED", flush=True)
        return False
    print(f"{name}: ok", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker", help="the built mms-broker; without it, it isn't checked")
    parser.add_argument("--no-kafka", action="store_true", help="leave Apache Kafka out")
    parser.add_argument("--be-killed", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_killed:
        be_killed()
    passed = [run("wait", check_wait), run("process", check_process), run("postgres", check_postgres)]
    if options.broker:
        passed.append(run("broker", check_broker, options.broker))
    if not options.no_kafka:
        passed.append(run("kafka", check_kafka))
    passed.append(run("nothing left behind", check_nothing_left))
    process.remove_dir(DIR)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
