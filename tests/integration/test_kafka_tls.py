"""Kafka by SASL_SSL alone, with rights for what a worker does: events go through, and what is refused is said."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import BUILD
from harness.certificates import Authority
from harness.secure_kafka import SecureKafka
from harness.wait import until

USER = "mms-worker"
PASSWORD = "a-very-secret-kafka-password"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def kafka(authority):
    users = {USER: PASSWORD, "nobody": PASSWORD, "latecomer": PASSWORD}
    with SecureKafka(BUILD / "test" / "secure" / "kafka", authority.issue(), authority.path, users) as server:
        yield server


@pytest.fixture
def login(system, kafka):
    """Settings of a worker that comes as this user; changes are librdkafka's properties."""

    def make(name=USER, password=PASSWORD, mechanism="SCRAM-SHA-512", **changes):
        properties = {**kafka.login(name, password, mechanism), **changes}
        return {f"kafka_{key.replace('.', '_')}": value for key, value in properties.items()}

    return make


def allow(system, kafka, user=USER):
    """The rights of OPERATING.md."""
    group = system.env()["MMS_CONSUMER_GROUP"]
    kafka.allow(user, "Read", topics=[system.events_topic], groups=[group])
    kafka.allow(user, "Write", topics=[system.results_topic, system.dead_letters_topic])


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
@pytest.mark.timeout(90)
def test_an_event_and_its_result(system, kafka, login, mechanism):
    """Events, a bad one among them, results and dead letters, with no right but those in OPERATING.md."""
    allow(system, kafka)
    system.destination("d")
    worker = system.worker(**login(mechanism=mechanism)).wait_ready()
    system.produce(system.event("e", "d"), "no event")
    system.wait_states(accepted=1)
    assert {result["outcome"] for result in system.results(2)} == {"accepted", "rejected"}
    assert len(system.dead_letters(1)) == 1
    until(lambda: sum(kafka.committed(system.env()["MMS_CONSUMER_GROUP"], system.events_topic).values()) == 2, 10, "commits")
    assert system.command("check", **login(mechanism=mechanism)).status == 0
    assert worker.stop() == 0
    assert PASSWORD not in worker.log_text()


@pytest.mark.timeout(120)
def test_who_is_not_let_in(system, kafka, login, authority, tmp_path):
    """
    A wrong password, an authority that nobody knows, no TLS, no rights: log, /readyz and `check` say which within
    seconds; the worker stays, and writes little.
    """
    stranger = Authority(tmp_path, "stranger").path
    refused = {
        "wrong password": (login(password="a-wrong-kafka-password"), "uthentication failed"),
        "wrong password, PLAIN": (login(password="a-wrong-kafka-password", mechanism="PLAIN"), "uthentication failed"),
        "unknown authority": (login(**{"ssl.ca.location": str(stranger)}), "certificate verify failed"),
        "no TLS": (login(**{"security.protocol": "SASL_PLAINTEXT"}), "security.protocol"),
        "no rights": (login("nobody"), "uthorization failed"),
    }
    workers = {name: system.worker(**settings) for name, (settings, _) in refused.items()}
    with ThreadPoolExecutor() as pool:
        checks = {name: pool.submit(system.command, "check", "--json", "--timeout", "5s", **refused[name][0]) for name in refused}
    for name, worker in workers.items():
        words = refused[name][1]
        until(lambda: words in worker.get("/readyz")[1], 20, lambda: f"{name}: {words}; {worker.get('/readyz')}")
        assert any(words in str(line) for line in worker.log_lines() if line["level"] == "warn"), name
        found = checks[name].result()
        assert any(row["result"] == "failed" and words in row["detail"] for row in found.rows()), (name, found.out)
        assert "kafka-password" not in found.out + found.err
    for name, worker in workers.items():
        assert worker.alive and len(worker.log_lines()) < 40, name
        assert "kafka-password" not in worker.log_text()


@pytest.mark.timeout(90)
def test_rights_that_come_late(system, kafka, login):
    """What was refused at first, for which librdkafka gives its producer up for good, works once it is allowed."""
    system.destination("d")
    worker = system.worker(**login("latecomer"))
    until(lambda: "authorization failed" in worker.get("/readyz")[1], 20, "a refusal")
    until(lambda: [line for line in worker.log_lines("Kafka producer") if "authorization failed" in line["error"]], 20, "another")
    allow(system, kafka, "latecomer")
    worker.wait_ready()
    system.produce(system.event("e", "d"))
    system.wait_states(accepted=1)
    assert [result["outcome"] for result in system.results(1, timeout=40)] == ["accepted"]
