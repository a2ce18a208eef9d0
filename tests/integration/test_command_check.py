"""mms-worker check: green where all is well, and each thing that is broken has a red line that says what to do."""

import contextlib
import json
import os
import pty
import re
import subprocess

import pytest

from harness import BIN, BUILD, Unavailable
from harness.faketime import FakeTime
from harness.kafka import Kafka
from harness.postgres import Postgres
from harness.process import free_port
from harness.system import TOKEN, config
from harness.wait import until

pytestmark = pytest.mark.timeout(120)

WRONG_TOKEN = "another-very-secret-token"
PASSWORD = "secret-of-the-database"
SASL_PASSWORD = "secret-of-kafka"


def check(system, *words, status=None, **settings):
    """The findings as {check: [(result, detail, advice)]}; no secret may be in any output."""
    plain = system.command("check", *words, **settings)
    done = system.command("check", "--json", *words, **settings)
    assert status is None or plain.status == done.status == status, plain.out + plain.err
    for secret in (TOKEN, WRONG_TOKEN, PASSWORD, SASL_PASSWORD):
        assert secret not in plain.out + plain.err + done.out + done.err
    words_of = {"ok": "ok", "warning": "warning", "failed": "FAILED"}
    assert [line.split()[0] for line in plain.out.splitlines()] == [words_of[row["result"]] for row in done.rows()]
    assert "\033" not in plain.out
    assert done.status == int(any(row["result"] == "failed" for row in done.rows()))
    found = {}
    for row in done.rows():
        assert row["result"] == "ok" or row["advice"] or row["check"] == "destination", row
        found.setdefault(row["check"], []).append((row["result"], row["detail"], row["advice"]))
    return found


def red(found):
    """What has failed: [(check, detail)]."""
    return [(name, detail) for name, rows in found.items() for result, detail, _ in rows if result == "failed"]


def yellow(found):
    return [(name, detail) for name, rows in found.items() for result, detail, _ in rows if result == "warning"]


def test_all_is_well(system):
    """Every line is green, says what was looked at, and the exit status is 0; nothing is sent, nothing is changed."""
    for n in range(30):
        system.destination(f"des_{n:02}")
    by_key = {"account_sid": "AC" + "0123456789abcdef" * 2, "auth_token": TOKEN}
    by_key.update(api_key_sid="SK" + "5" * 32, api_key_secret=TOKEN)
    system.destination("des_key", auth=by_key)
    system.destination("des_off", auth=None)
    system.query("update mms.destinations set disabled_at = now() where id = 'des_off'")
    found = check(system, status=0)
    assert red(found) == yellow(found) == []
    assert found["settings"] == [("ok", "all are valid", None)]
    assert found["kafka"] == [("ok", "1 broker", None)]
    assert [detail for _, detail, _ in found["topic"]] == [
        f"{system.events_topic} (MMS_EVENT_TOPICS), 12 partitions",
        f"{system.results_topic} (MMS_STATUS_TOPIC), 3 partitions",
        f"{system.dead_letters_topic} (MMS_DEAD_LETTER_TOPIC), 1 partition",
    ]
    assert re.fullmatch(r"g-\S+ \(MMS_CONSUMER_GROUP\) has no members; a new one .*", found["group"][0][1])
    assert re.fullmatch(r"version 1\d.*, round trip \d+\.\d ms", found["postgresql"][0][1])
    assert found["schema"] == [("ok", f"version {system.value('select max(version) from mms.schema_migrations')}", None)]
    assert [result for result, _, _ in found["clock"]] == ["ok", "ok"]  # the database's, and Twilio's
    assert found["destination"] == [("ok", "31 valid, 1 disabled (not looked at)", None)]
    assert found["credentials"] == [("ok", "of 31 destinations", None)]
    paths = [entry["path"] for entry in system.sim.requests() if entry["account"]]
    assert len(paths) == 4  # two pairs of credentials, each once a run
    assert system.sim.posts() == [] and system.states() == {}


def test_a_running_group(system):
    """Beside running workers the group's line counts them; a foreign assignor is red."""
    system.worker().wait_ready()
    assert re.search(r", 1 member, Stable$", check(system, status=0)["group"][0][1])
    from confluent_kafka import Consumer

    foreign = Consumer(
        {
            "bootstrap.servers": system.kafka.bootstrap,
            "group.id": "g-foreign",
            "partition.assignment.strategy": "cooperative-sticky",
        }
    )
    try:
        foreign.subscribe([system.events_topic])
        until(lambda: foreign.poll(0.2) or foreign.assignment(), 20, "a foreign member")
        ((name, detail),) = red(check(system, status=1, consumer_group="g-foreign"))
        assert name == "group" and "cooperative-sticky" in detail
    finally:
        foreign.close()


def test_kafka_is_away(system):
    """One red line with librdkafka's own words; everything else is looked at."""
    system.destination("des")
    found = check(
        system, "--timeout", "2s", status=1,
        kafka_bootstrap_servers=f"127.0.0.1:{free_port()}",
        kafka_sasl_password=SASL_PASSWORD,
    )
    ((name, detail),) = red(found)
    assert name == "kafka" and "refused" in detail
    assert "topic" not in found and found["credentials"][0][0] == found["schema"][0][0] == "ok"


def test_topics_are_missing(system):
    """Brokers that make topics by themselves: a warning. A pattern tells what it matches."""
    found = check(system, status=0, status_topic="never.made", event_topics=f"^{system.events_topic[:-1]},^nothing-like-it")
    assert sorted(yellow(found)) == [
        ("topic", "^nothing-like-it (MMS_EVENT_TOPICS) matches no topic"),
        ("topic", "never.made (MMS_STATUS_TOPIC) does not exist; the brokers make it when it is first written to"),
    ]
    assert ("ok", f"^{system.events_topic[:-1]} (MMS_EVENT_TOPICS), 1 match", None) in found["topic"]
    assert "never.made" not in topics(system)


def topics(system):
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": system.kafka.bootstrap}).list_topics(timeout=10).topics


def test_topics_are_missing_and_not_made(system):
    """Brokers that don't: red, for each of the topics."""
    with Kafka(BUILD / "test" / "check" / "kafka", {"auto.create.topics.enable": "false"}) as kafka:
        found = check(system, status=1, kafka_bootstrap_servers=kafka.bootstrap)
    assert [name for name, _ in red(found)] == ["topic"] * 3
    assert all("does not exist, and the brokers don't make" in detail for _, detail in red(found))


def test_dead_letters_are_too_small(system):
    """A dead-letter topic that can't hold every event is a warning."""
    name = system.dead_letters_topic + ".small"
    system.kafka.create_topic(name, 1, {"max.message.bytes": 1000})
    ((thing, detail),) = yellow(check(system, status=0, dead_letter_topic=name))
    assert thing == "topic" and f"takes 1000 bytes, an event may have {8 << 20}" in detail


def test_postgresql_is_away(system):
    """One red line; Kafka and Twilio are looked at all the same."""
    url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{free_port()}/x"
    found = check(system, status=1, database_url=url)
    ((name, detail),) = red(found)
    assert name == "postgresql" and "refused" in detail
    assert found["twilio"][0][0] == found["group"][0][0] == "ok" and "destination" not in found


def test_schemas_that_do_not_fit(system):
    """None, an older and a newer one: what to do is another thing each time."""
    system.destination("des")
    newest = system.value("select max(version) from mms.schema_migrations")
    system.query("insert into mms.schema_migrations (version, name) values (%s, 'later')", newest + 1)
    found = check(system, status=1)
    assert red(found) == [("schema", f"version {newest + 1}, this program is older and knows {newest}")]
    assert found["schema"][0][2] == "Upgrade this program"
    system.query("delete from mms.schema_migrations where version >= %s", newest)
    found = check(system, status=1)
    assert red(found) == [("schema", f"version {newest - 1}, this program needs {newest}")]
    assert found["schema"][0][2] == "Run 'mms-worker migrate'"
    assert found["destination"][0][0] == found["credentials"][0][0] == "ok"
    system.query("drop schema mms cascade")
    assert red(check(system, status=1)) == [("schema", "the database has no schema mms")]


def test_databases_that_do_not_fit(system):
    """Read-only, another isolation, and a role without rights."""
    set_ = f'alter database "{system.database}" set '
    reset = f'alter database "{system.database}" reset all'
    system.query(set_ + "default_transaction_read_only = on")
    assert red(check(system, status=1)) == [("postgresql", "transactions are read-only")]
    system.reconnect()
    system.query("set default_transaction_read_only = off")
    system.query(reset)
    system.query(set_ + "default_transaction_isolation = 'serializable'")
    ((_, detail),) = red(check(system, status=1))
    assert "default_transaction_isolation is 'serializable'" in detail
    system.query(reset)
    role = "checker_" + system.database
    system.query(f"create role {role} login")
    try:
        url = system.postgres.url(system.database).replace("postgres@", role + "@")
        ((_, usage), (schema, _)) = red(check(system, status=1, database_url=url))
        assert (usage, schema) == ("rights are missing: usage on schema mms", "schema")
        system.query(f"grant usage on schema mms to {role}")
        system.query(f"grant select, insert, update, delete on all tables in schema mms to {role}")
        assert red(check(system, status=0, database_url=url)) == []
        system.query(f"revoke insert, delete on mms.open_messages from {role}")
        assert red(check(system, status=1, database_url=url)) == [
            ("postgresql", "rights are missing: insert/delete on mms.open_messages")
        ]
    finally:
        system.query(f"drop owned by {role}")
        system.query(f"drop role {role}")


def test_a_standby(system, tmp_path):
    """A server in recovery takes no writes."""
    with Postgres(BUILD / "test" / "check" / "postgres", {"hot_standby": "on"}) as server:
        system.migrate(database_url=server.url())
        server.stop()
        subprocess.run(["touch", server._home / "data" / "standby.signal"], check=True)
        server.start()
        found = check(system, status=1, database_url=server.url())
    assert red(found) == [("postgresql", "the server is a standby: it takes no writes")]
    assert found["schema"][0][0] == "ok"


def test_credentials(system):
    """Who shares credentials is asked for once and named in one line; keys, closed accounts and busy ones; the rest is green."""
    for account in "123":
        system.sim._call("POST", "accounts", json={"account_sid": "AC" + account * 32, "auth_token": TOKEN})
    for n in range(8):
        system.destination(f"bad_{n}", auth={"account_sid": "AC" + "1" * 32, "auth_token": WRONG_TOKEN})
    system.destination("good", auth={"account_sid": "AC" + "1" * 32, "auth_token": TOKEN})
    key = {"account_sid": "AC" + "2" * 32, "auth_token": TOKEN, "api_key_sid": "SK" + "2" * 32}
    system.destination("bad_key", auth={**key, "api_key_secret": WRONG_TOKEN})
    system.destination("good_key", auth={**key, "api_key_secret": TOKEN})
    found = check(system, status=1)
    assert sorted(red(found)) == [
        ("credentials", "of bad_0, bad_1, bad_2, bad_3, bad_4 and 3 more: Twilio answered 401, code 20003 (Authenticate)"),
        ("credentials", "of bad_key: Twilio answered 401, code 20003 (Authenticate)"),
    ]
    assert all("auth.account_sid" in advice for result, _, advice in found["credentials"] if result == "failed")
    assert ("ok", "of 2 destinations", None) in found["credentials"]
    only = check(system, "--destination", "good", status=0)
    assert only["credentials"] == [("ok", "of 1 destination", None)]
    assert red(check(system, "--destination", "none", status=1)) == [("destination", "there is no destination 'none'")]


def test_twilio_is_not_pressed(system):
    """Different credentials are asked for at most five a second, whatever there are."""
    for n in range(14):
        system.destination(f"des_{n:02}", auth={"account_sid": f"AC{n:032}", "auth_token": TOKEN})
    assert system.command("check").status == 0
    times = [entry["arrived_at"] for entry in system.sim.requests() if entry["account"]]
    assert len(times) == 14 and min(later - early for early, later in zip(times, times[5:])) > 0.95


@pytest.mark.parametrize(
    "answer, result, words",
    [
        ({"status": 200, "body": json.dumps({"sid": "AC", "status": "suspended", "type": "Full"})}, "failed", "is suspended"),
        ({"status": 200, "body": json.dumps({"sid": "AC", "status": "closed", "type": "Full"})}, "failed", "is closed"),
        ({"status": 200, "body": json.dumps({"sid": "AC", "status": "active", "type": "Trial"})}, "warning", "trial account"),
        ({"status": 200, "body": "<html>a proxy's own page</html>"}, "failed", "answered 200"),
        ({"status": 403, "body": json.dumps({"code": 20403, "message": "Forbidden"})}, "failed", "403, code 20403"),
        ({"status": 429, "body": json.dumps({"code": 20429, "message": "Too many"})}, "warning", "429, code 20429"),
        ({"status": 502}, "failed", "answered 502"),
    ],
)
def test_answers_about_an_account(system, answer, result, words):
    system.destination("des")
    account = config()["auth"]["account_sid"]
    system.sim.fault("status", match={"method": "GET", "account": account}, content_type="application/json", **answer)
    (found,) = check(system, status=int(result == "failed"))["credentials"]
    assert found[0] == result and found[1].startswith("of des: ") and words in found[1]


def test_configs_that_are_wrong(system):
    """The line names destination and field; the others are looked at; what is odd is a warning."""
    system.destination("broken", media_urls=[])
    system.destination("strange", type="EMAIL")
    system.destination("good")
    found = check(system, status=1)
    assert [(name, detail.split(":")[0]) for name, detail in red(found)] == [("destination", "broken"), ("destination", "strange")]
    assert "media_urls" in red(found)[0][1]
    assert found["credentials"] == [("ok", "of 1 destination", None)]


def test_twilio_is_away(system):
    """Refused, and silent: one red line; credentials are not blamed."""
    system.destination("des")
    found = check(system, status=1, twilio_base_url=f"http://127.0.0.1:{free_port()}")
    ((name, detail),) = red(found)
    assert name == "twilio" and "refused" in detail.lower() or "connect" in detail
    assert "credentials" not in found and found["destination"][0][0] == "ok"
    system.sim.fault("hang", match={"method": "ANY"})
    ((name, detail),) = red(check(system, "--timeout", "1s", status=1))
    assert name == "twilio" and "tim" in detail.lower()
    system.sim.clear()


def test_clocks_that_are_off(system):
    """A machine's clock that is an hour ahead: a warning, against the database's and against Twilio's."""
    try:
        clock = FakeTime()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with clock:
        done = subprocess.run(
            [*clock.wall("+1h"), BIN / "mms-worker", "check", "--json"],
            env=system.env(), capture_output=True, text=True, timeout=60,
        )
    assert done.returncode == 0, done.stdout
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    first, second = [row["detail"] for row in rows if row["check"] == "clock" and row["result"] == "warning"]
    assert re.fullmatch(r"this machine is 3[56]\d\d\.\d s ahead of the database's clock", first)
    assert re.fullmatch(r"this machine is 3[56]\d\d s ahead of Twilio's clock", second)


def test_wrong_settings(system):
    """Each wrong setting is a red line, and all else is looked at with the defaults; one that is odd is a warning."""
    found = check(system, status=1, lease="1s", no_such_thing="1", kafka_no_such_property="x", kafka_ssl_key_password="ok")
    assert sorted(detail.split(":")[0] for name, detail in red(found) if name == "settings") == [
        "MMS_KAFKA_NO_SUCH_PROPERTY", "MMS_LEASE", "MMS_NO_SUCH_THING",
    ]
    assert found["schema"][0][0] == found["kafka"][0][0] == found["twilio"][0][0] == "ok"
    found = check(system, status=1, kafka_bootstrap_servers="")
    assert red(found) == [("settings", "MMS_KAFKA_BOOTSTRAP_SERVERS: required, but not set")]
    assert "kafka" not in found and found["schema"][0][0] == "ok"
    found = check(system, status=0, status_callback_url="https://example.com/status")
    assert [name for name, _ in yellow(found)] == ["settings"]
    for words in (["--timeout", "soon"], ["--timeout", "2d"], ["--no-such"], ["extra"]):
        done = system.command("check", *words)
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)


def test_colours(system):
    """In a terminal the words are coloured, unless NO_COLOR is set."""
    for env, coloured in ((system.env(), True), ({**system.env(), "NO_COLOR": "1"}, False)):
        master, slave = pty.openpty()
        subprocess.run([BIN / "mms-worker", "check"], env=env, stdout=slave, timeout=60, check=True)
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(master, 65536):
                text += chunk
        os.close(master)
        assert (b"\033[32mok" in text) == coloured and b"ok" in text


def test_what_strangers_wrote_stays_text(system):
    """A destination's id with control characters reaches no terminal."""
    system.destination("a\033[31mb\nc", media_urls=[])
    done = system.command("check")
    assert done.status == 1 and "\033" not in done.out
    assert re.search(r"^FAILED +destination +a \[31mb c: ", done.out, re.M)
