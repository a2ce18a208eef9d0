"""What /metrics, /healthz and /readyz say, against what really happened; alert rules and the dashboard against both."""

import json
import re
import subprocess

import pytest

from harness import ROOT
from harness.wait import until, until_equal

DEPLOY = ROOT / "worker" / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
CALLBACKS = {"callback_listen": "127.0.0.1:0", "status_callback_url": "http://127.0.0.1:9/"}
RECONCILE = {"reconcile_delay": "2s", "twilio_timeout": "2s", "lease": "12s", "retry_base": "10ms", "retry_max": "20ms"}


def promtool(*arguments, stdin=None):
    done = subprocess.run(["promtool", *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=60, cwd=DEPLOY)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def samples(text):
    """{(name, frozenset of labels): value} of a scrape."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            name, _, labels = series.partition("{")
            key = name, frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
            assert key not in found, f"twice: {series}"
            found[key] = float(value)
    return found


class Scrape:
    """One look at a worker's metrics."""

    def __init__(self, worker):
        self.text = worker.get("/metrics")[1]
        self.samples = samples(self.text)

    def value(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def by(self, name, label):
        """{label's value: value}, zeros left out."""
        return {dict(labels)[label]: value for (n, labels), value in self.samples.items() if n == name and value}

    def families(self):
        """Names as HELP has them."""
        return set(re.findall(r"^# TYPE (\w+) ", self.text, re.MULTILINE))


def counts(system, sql):
    return {row["name"]: row["n"] for row in system.query(sql)}


def wait_database(worker, name, value, **labels):
    """Waits until the database's numbers, which are at most 10 s old, say so."""
    key = name, frozenset(labels.items())
    until_equal(lambda: Scrape(worker).samples.get(key), value, 25, f"{name} {labels}")


def work(system):
    """Something of everything: accepted, failed, tried again, unknown (found; absent; left to a person), expired, rejected."""
    numbers = {name: f"+155577700{i:02}" for i, name in enumerate(["good", "bad", "busy", "lost", "gone", "open", "parked"])}
    for name, number in numbers.items():
        system.destination(name, to=number)
    system.destination("broken", media_urls=["{{payload.nothing}}"])
    system.destination("other", type="WEBHOOK")
    system.sim.fault("error", {"to": numbers["bad"]}, status=400, code=21211)
    system.sim.fault("error", {"to": numbers["busy"]}, status=429, code=20429, times=1)
    system.sim.fault("accept_then_drop", {"to": numbers["lost"]}, times=1)
    system.sim.fault("status", {"to": numbers["gone"]}, status=503, times=1)
    system.sim.fault("error", {"to": numbers["parked"]}, status=401, code=20003)
    system.produce(*[system.event(f"{name}-{i}", name) for name in (*numbers, "broken") for i in range(2) if name != "open"])
    system.produce(b"no json", b"{}", b"[]", None, system.event("x", "nowhere"), system.event("y", "other"))


@pytest.mark.timeout(180)
def test_counts_are_those_of_the_database(system):
    """Each counter and gauge after work of every kind, to the unit."""
    work(system)
    worker = system.worker(**RECONCILE).wait_ready()
    ended = {"accepted": 8, "failed": 4, "pending": 2}
    system.wait_states(**ended, timeout=90)
    until(lambda: system.value("select count(*) from mms.attempts where published_at is null") == 0, 30, "results")
    until(lambda: system.value("select count(*) from mms.rejected_events where published_at is null") == 0, 30, "dead letters")
    # An unknown attempt that nobody will look up, and one that is to be looked up tomorrow.
    system.query("update mms.deliveries set state = 'unknown', lookup_at = 'infinity' where event_id = 'good-0'")
    system.query("update mms.deliveries set state = 'unknown', lookup_at = now() + interval '1 day' where event_id = 'good-1'")
    wait_database(worker, "mms_unknown_deliveries", 1, waits_for="person")
    seen = Scrape(worker)

    assert seen.value("mms_events_read_total") == 20
    assert seen.value("mms_events_taken_total") == system.value("select count(*) from mms.deliveries") == 14
    rejected = counts(system, "select reason as name, count(*) as n from mms.rejected_events group by 1")
    assert len(rejected) == 6 and seen.by("mms_events_rejected_total", "reason") == rejected
    # What a lookup resolved was unknown when it was an attempt.
    attempts = counts(
        system,
        "select case when resolution is null then outcome else 'unknown' end as name, count(*) as n from mms.attempts group by 1",
    )
    assert attempts["unknown"] == 2 and attempts["retry"] > 1
    assert seen.by("mms_attempts_total", "outcome") == attempts
    assert [seen.value("mms_lookups_total", finding=finding) for finding in ("found", "absent", "given_up")] == [1, 1, 0]
    assert seen.by("mms_deliveries_ended_total", "state") == {"accepted": 8, "failed": 4}
    # The database's.
    assert seen.by("mms_deliveries", "state") == {"pending": 2, "unknown": 2}
    assert seen.by("mms_unknown_deliveries", "waits_for") == {"lookup": 1, "person": 1}
    assert seen.value("mms_parked_destinations") == 1 and 0 < seen.value("mms_parked_longest_seconds") < 120
    assert seen.by("mms_outbox_unpublished_results", "kind") == {} and seen.by("mms_outbox_oldest_age_seconds", "kind") == {}
    assert seen.value("mms_oldest_pending_age_seconds") == 0, "a parked destination's don't count"
    assert 0 <= seen.value("mms_database_statistics_age_seconds") < 25
    # Time.
    started = system.query("select extract(epoch from started_at - slot_at)::float8 as late from mms.attempts where started_at is not null")
    assert seen.value("mms_slot_lateness_seconds_count") == len(started)
    assert abs(seen.value("mms_slot_lateness_seconds_sum") - sum(row["late"] for row in started)) < 0.001
    within = sum(row["late"] <= 0.1 for row in started)
    assert seen.value("mms_slot_lateness_seconds_bucket", le="0.1") == within
    answered = system.value("select count(*) from mms.attempts where http_status is not null")
    assert seen.value("mms_twilio_latency_seconds_count") == seen.value("mms_twilio_latency_seconds_bucket", le="+Inf") == answered
    # Kafka.
    assert seen.value("mms_kafka_assigned_partitions") == 12
    until_equal(lambda: Scrape(worker).value("mms_kafka_consumer_lag_events"), 0, 10, "the lag")
    results = system.value("select count(*) from mms.attempts") + 6 + 2  # an unknown attempt has two
    assert seen.value("mms_results_published_total") == results
    assert [seen.value(name) for name in ("mms_live_deliveries", "mms_evidence_waiting", "mms_intake_events_in_hand", "mms_results_in_flight")] == [0] * 4
    assert seen.by("mms_postgresql_connections_total", "role") == {"intake": 1, "pacer": 1, "evidence": 1}
    assert seen.value("mms_slots_missed_total") == 0
    # The process.
    assert seen.value("process_resident_memory_bytes") > 1 << 20 and seen.value("process_open_fds") > 5
    until(lambda: worker.metric("process_cpu_seconds_total") > 0, 5, "CPU")
    now = system.value("select extract(epoch from clock_timestamp())::float8")
    assert now - 180 < seen.value("process_start_time_seconds") < now
    assert seen.value("process_max_fds") >= seen.value("process_open_fds")


def test_the_format_is_prometheus(system):
    """promtool has nothing to say against a scrape, and every metric has its HELP and its type."""
    work(system)
    worker = system.worker(**RECONCILE, **CALLBACKS).wait_ready()
    until(lambda: Scrape(worker).samples.get(("mms_deliveries", frozenset({("state", "pending")}))) is not None, 25, "the database's numbers")
    seen = Scrape(worker)
    assert promtool("check", "metrics", stdin=seen.text) == ""
    helps = dict(re.findall(r"^# HELP (\w+) (.*)$", seen.text, re.MULTILINE))
    assert set(helps) == seen.families() and len(helps) > 40
    assert all(len(text) > 10 for text in helps.values())
    assert {re.sub("_(bucket|sum|count)$", "", name) if "slot_lateness" in name or "latency" in name else name
            for name, _ in seen.samples} == set(helps)
    build = next(dict(labels) for name, labels in seen.samples if name == "mms_build_info")
    version = system.command("version")
    assert version.status == 0 and version.out.splitlines()[0] == f"mms-worker {build['version']}"
    for name in ("librdkafka", "libcurl", "libpq", "libevent", "openssl", "libsodium", "jansson"):
        assert f"{name} {build[name]}" in version.out.splitlines()


def test_destinations_make_no_series(system):
    """As many series with thirty destinations and as many reasons for trouble as with none."""
    worker = system.worker(status_poll_rate=0).wait_ready()
    wait_database(worker, "mms_deliveries", 0, state="pending")
    before = set(Scrape(worker).samples)
    for i in range(30):
        system.destination(f"d{i}", to=f"+1555777{i:04}")
        if i % 3 == 0:
            system.sim.fault("error", {"to": f"+1555777{i:04}"}, status=400, code=21000 + i)
        system.produce(system.event(f"e{i}", f"d{i}"), f'{{"event_id": "x{i}"}}'.encode())
    system.wait_states(accepted=20, failed=10, timeout=60)
    assert set(Scrape(worker).samples) == before


def test_what_waits_has_an_age(system):
    """Deliveries that could have gone and didn't, and a backlog that is counted without being read."""
    system.destination("d")
    system.query(
        "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset, next_attempt_at)"
        " select 'd', 'e' || n, '{}', 't', 0, n, now() + interval '1 hour' from generate_series(1, 120000) n"
    )
    system.query("vacuum analyze mms.deliveries")
    worker = system.worker()
    wait_database(worker, "mms_deliveries", 120000, state="pending")
    assert Scrape(worker).value("mms_oldest_pending_age_seconds") == 0, "their time has not come"
    # Nobody can claim it, since its pacing is locked: as if no worker did its work.
    system.query("update mms.deliveries set next_attempt_at = now() - interval '100 s' where event_id = 'e1'")
    with system.postgres.connect(system.database) as other, other.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("update mms.pacing set due_at = now(), pending_from = '-infinity', next_slot_at = now()")
        cursor.execute("commit; begin")
        cursor.execute("select from mms.pacing for update")
        until(lambda: worker.metric("mms_oldest_pending_age_seconds") > 100, 25, "its age")
        assert worker.metric("mms_oldest_pending_age_seconds") < 150
        cursor.execute("rollback")


def test_a_scrape_does_not_wait_for_postgresql(system):
    """While the statement can't get on, /metrics answers at once, with what was known and its age; then it is asked again."""
    worker = system.worker().wait_ready()
    wait_database(worker, "mms_deliveries", 0, state="pending")
    system.destination("d", to="+15557770000")
    with system.postgres.connect(system.database) as other, other.cursor() as cursor:
        cursor.execute("begin; lock table mms.paced in access exclusive mode")
        until(lambda: worker.metric("mms_database_statistics_age_seconds") > 12, 30, "the numbers to get old")
        assert Scrape(worker).value("mms_deliveries", state="pending") == 0
        cursor.execute("rollback")
    until(lambda: worker.metric("mms_database_statistics_age_seconds") < 5, 60, "the numbers to be young again")


def test_nobody_asks_postgresql_for_nobody(system):
    """The statistics' connection is made at the first scrape."""
    count = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'mms-worker statistics'"
    worker = system.worker().wait_ready()
    assert system.value(count) == 0
    worker.get("/metrics")
    until_equal(lambda: system.value(count), 1, 10, "its connection")


def test_readyz_says_what_why_and_since_when(system):
    """A line for each part that isn't there; /healthz answers whatever is away."""
    worker = system.worker().wait_ready()
    assert worker.get("/readyz") == (200, "ok\n")
    assert set(Scrape(worker).by("mms_part_ready", "part").values()) == {1}
    system.query("alter table mms.deliveries rename to gone")
    try:
        until(lambda: worker.get("/readyz")[0] == 503, 30, "/readyz to be red")
        assert worker.get("/healthz") == (200, "ok\n")
        text = worker.get("/readyz")[1]
        line = r"postgresql \((intake|pacer|evidence)\): .*mms\.deliveries.* \(since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z, \d+ s\)"
        assert all(re.fullmatch(line, part) for part in text.splitlines()), text
        named = {part.split(": ")[0] for part in text.splitlines()}
        until(lambda: named <= {dict(labels)["part"] for (name, labels), value in Scrape(worker).samples.items()
                                if name == "mms_part_ready" and value == 0}, 10, "the metric to say the same")
        assert worker.metric("mms_worker_ready") == 0
    finally:
        system.query("alter table mms.gone rename to deliveries")
    until(lambda: worker.get("/readyz") == (200, "ok\n"), 30, "/readyz to be green")
    assert sum(Scrape(worker).by("mms_postgresql_connections_total", "role").values()) > 3, "reconnects are counted"


# ---- alert rules and the dashboard ----


def names_in(expression):
    """The metrics that a PromQL expression asks for."""
    return set(re.findall(r"\b((?:mms|process)_[a-z_]+)\b(?!\s*=)", expression))


def test_the_rules_fire_when_they_should():
    """promtool: the rules and the example configuration are valid, and each alert has been seen to fire, and not to."""
    promtool("check", "rules", RULES)
    promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    promtool("test", "rules", DEPLOY / "prometheus" / "alerts_test.yml")
    alerts = re.findall(r"^ *- alert: (\w+)$", RULES.read_text(), re.MULTILINE)
    assert len(alerts) == len(set(alerts)) > 12
    tests = (DEPLOY / "prometheus" / "alerts_test.yml").read_text()
    for alert in alerts:
        cases = re.findall(rf"alertname: {alert}\n +exp_alerts:(.*)", tests)
        assert any(case.strip() == "[]" for case in cases), f"{alert}: when doesn't it fire?"
        assert any(case.strip() == "" for case in cases), f"{alert}: when does it fire?"


def test_each_alert_says_what_to_do():
    text = RULES.read_text()
    for block in re.split(r"^ *- alert: ", text, flags=re.MULTILINE)[1:]:
        name = block.split("\n", 1)[0]
        assert re.search(r"severity: (page|ticket)", block), name
        assert re.search(r"summary: \S", block) and re.search(r"description: \S", block), name
        assert f'runbook: worker/OPERATING.md#{name.lower()}\n' in block, name


def test_every_metric_that_is_asked_for_exists(system):
    """Of the alerts, the dashboard and their tests; and a label that is asked for is there."""
    worker = system.worker(**CALLBACKS).wait_ready()
    wait_database(worker, "mms_deliveries", 0, state="pending")
    until(lambda: worker.metric("mms_kafka_assigned_partitions") == 12, 20, "partitions")
    until(lambda: "mms_kafka_consumer_lag_events" in {name for name, _ in Scrape(worker).samples}, 20, "the lag")
    seen = Scrape(worker)
    exist = {name for name, _ in seen.samples}
    asked = names_in(RULES.read_text()) | names_in((DEPLOY / "prometheus" / "alerts_test.yml").read_text())
    dashboard = json.loads((DEPLOY / "grafana" / "mms-worker.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    for expression in expressions:
        asked |= names_in(expression)
    assert len(asked) > 25 and asked <= exist, asked - exist
    values = {(name, value) for _, labels in seen.samples for name, value in labels}
    for expression in (*expressions, RULES.read_text()):
        for label, value in re.findall(r'\b(\w+)="([a-z_A-Z]+)"', expression):
            assert (label, value) in values or label in ("job", "instance"), (label, value)


def test_the_dashboard_is_whole():
    """What Grafana wants: rows, no panel over another, no id twice, the data source a variable."""
    dashboard = json.loads((DEPLOY / "grafana" / "mms-worker.json").read_text())
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == ["Health", "Throughput", "Pace", "Backlog", "Twilio", "Outbox and Kafka", "Resources"]
    assert [v["type"] for v in dashboard["templating"]["list"] if v["name"] == "datasource"] == ["datasource"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"] and panel["datasource"]["uid"] == "${datasource}", panel["title"]
            assert all(target["refId"] for target in panel["targets"])
