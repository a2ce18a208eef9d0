"""`mms-worker prune`: history that is old enough goes, and nothing else, whoever works beside it."""

import contextlib
import json
import signal

import pytest

from harness import BIN
from harness.plans import tables_read_whole
from harness.process import Process
from harness.statements import Statements
from harness.wait import until, until_equal

DELETED = ("deliveries", "attempts", "message_statuses", "rejected_events")
KEPT = ("left_to_a_person", "not_finished", "not_published", "followed", "in_hand")

# What ended so long ago goes, or doesn't.
OLD, YOUNG = "100 days", "80 days"

_DELIVERIES = """
    insert into mms.deliveries
           (destination_id, event_id, event, source_topic, source_partition, source_offset, next_attempt_at, attempts, state,
            created_at, finished_at, lookup_at)
    select %(destination)s, %(event)s || case when %(count)s > 1 then ' ' || n else '' end, '{}', 't', 0, n, now() - %(ago)s::interval,
           %(attempts)s, %(state)s, now() - %(ago)s::interval - interval '1 hour',
           case when %(state)s in ('accepted', 'failed', 'expired') then now() - %(ago)s::interval - n * interval '1 ms' end,
           %(lookup_at)s
      from generate_series(1, %(count)s) n"""

_ATTEMPTS = """
    insert into mms.attempts
           (destination_id, delivery_id, attempt, result_id, outcome, final, finished_at, worker, published_at, message_sid)
    select d.destination_id, d.id, k, gen_random_uuid(), case when k < d.attempts then 'retry' else %(outcome)s end,
           k = d.attempts, now() - %(ago)s::interval - d.source_offset * interval '1 ms', 'w', now() - %(ago)s::interval,
           'MM' || md5(d.id || ' ' || k)
      from mms.deliveries d, generate_series(1, d.attempts) k
     where d.destination_id = %(destination)s and d.event_id like %(event)s || '%%'"""

_STATUSES = """
    insert into mms.message_statuses
           (destination_id, delivery_id, attempt, message_sid, status, rank, final, advanced, source, received_at, worker,
            published_at)
    select a.destination_id, a.delivery_id, a.attempt, a.message_sid, 'delivered', 6, true, true, 'poll', a.finished_at, 'w',
           a.finished_at
      from mms.attempts a
      join mms.deliveries d on d.destination_id = a.destination_id and d.id = a.delivery_id and d.attempts = a.attempt
     where d.destination_id = %(destination)s and d.event_id like %(event)s || '%%' and d.state = 'accepted'"""


def past(system, event, destination="d", count=1, state="accepted", attempts=1, ago=OLD, lookup_at="-infinity"):
    """Deliveries of events "event 1", … (one: "event") that ended so long ago; accepted ones have a status."""
    values = {
        "event": event, "destination": destination, "count": count, "state": state, "attempts": attempts, "ago": ago,
        "lookup_at": lookup_at, "outcome": {"pending": "retry", "sending": "retry"}.get(state, state),
    }  # fmt: skip
    # As intake does.
    system.query("insert into mms.pacing (destination_id) select %s where not exists (select 1 from mms.paced where destination_id = %s)",
                 destination, destination)  # fmt: skip
    for sql in (_DELIVERIES, _ATTEMPTS, _STATUSES):
        system.db.cursor().execute(sql, values)
    return event


def of(event):
    """SQL: whether a row of a child table is this event's."""
    return f"(destination_id, delivery_id) in (select destination_id, id from mms.deliveries where event_id = '{event}')"


def prune(system, *options):
    """Deletes what is older than 90 days; returns the report."""
    done = system.command("prune", "--older-than", "90d", "--json", "--pause", "1ms", *options)
    assert (done.status, done.err) == (0, ""), done
    (report,) = done.rows()
    return report


def counts(report, names=DELETED):
    return {name: report[name] for name in names if report[name]}


def events(system):
    return {row["event_id"] for row in system.query("select event_id from mms.deliveries")}


def tables(system):
    """How many rows each table has."""
    return {name: n for name in DELETED if (n := system.value(f"select count(*) from mms.{name}"))}


class Undo(Exception):
    """Rolls a transaction back."""


def tie(system):
    """Makes PostgreSQL see to it that no attempt or status ever stands without its delivery."""
    for table in ("attempts", "message_statuses", "open_messages"):
        system.query(
            f"alter table mms.{table} add foreign key (destination_id, delivery_id)"
            " references mms.deliveries (destination_id, id)"
        )


def make_kept(system):
    """One delivery of each kind that stays, however old, and some that are not old as a whole. Returns their events."""
    kept = [past(system, "pending", state="pending"), past(system, "asked", state="unknown", lookup_at="2030-01-01")]
    kept += [past(system, "person", state="unknown", lookup_at="infinity")]
    kept += [past(system, "result", attempts=2)]
    system.query(f"update mms.attempts set published_at = null where attempt = 1 and {of('result')}")
    kept += [past(system, "status")]
    system.query(f"update mms.message_statuses set published_at = null where {of('status')}")
    kept += [past(system, "followed")]
    system.query(
        "insert into mms.open_messages select destination_id, delivery_id, attempt, message_sid, finished_at, 'infinity'"
        f" from mms.attempts where {of('followed')}"
    )
    kept += [past(system, "young", ago=YOUNG), past(system, "told lately"), past(system, "resolved lately")]
    system.query(f"update mms.message_statuses set received_at = now() where {of('told lately')}")
    system.query(f"update mms.attempts set resolved_at = now() where {of('resolved lately')}")
    past(system, "finished lately")
    system.query("update mms.deliveries set finished_at = now() where event_id = 'finished lately'")
    past(system, "sending", state="sending", attempts=2)
    system.query(f"delete from mms.attempts where attempt = 2 and {of('sending')}")
    system.query("update mms.deliveries set lease_until = now() + interval '1 hour' where event_id = 'sending'")
    return {*kept, "finished lately", "sending"}


def test_what_goes_and_what_stays(system):
    """Each kind of delivery. What a dry run counts is what then goes; a second time there is nothing left."""
    tie(system)
    system.destination("d")
    system.query("update mms.destinations set disabled_at = now()")
    kept = make_kept(system)
    before = {name: tables(system).get(name, 0) for name in DELETED}
    for state, attempts in (("accepted", 1), ("failed", 3), ("expired", 1)):
        past(system, state, state=state, attempts=attempts, count=5)
    # A status that came too late to have a result has none to publish. A person's decision has no moment.
    past(system, "too late")
    system.query(f"update mms.message_statuses set advanced = false, published_at = null where {of('too late')}")
    past(system, "decided", state="unknown")
    system.query("update mms.deliveries set state = 'accepted' where event_id = 'decided'")
    expected = {"deliveries": 17, "attempts": 27, "message_statuses": 6}
    why = {"left_to_a_person": 1, "not_finished": 2, "not_published": 2, "followed": 1}

    everything = tables(system)
    dry = prune(system, "--dry-run")
    assert (counts(dry), counts(dry, KEPT), dry["dry_run"], tables(system)) == (expected, why, True, everything)
    report = prune(system)
    assert (counts(report), counts(report, KEPT), report["dry_run"]) == (expected, why, False)
    assert events(system) == kept
    assert tables(system) == {name: n for name, n in before.items() if n}
    assert system.value("select count(*) from mms.open_messages") == 1
    again = prune(system)
    assert (counts(again), counts(again, KEPT)) == ({}, why)


def test_the_report_for_people(system):
    past(system, "gone", count=3)
    past(system, "person", state="unknown", lookup_at="infinity")
    done = system.command("prune", "--older-than", "90d", "--dry-run")
    assert done.status == 0 and done.err == ""
    first, second, third = done.out.splitlines()
    assert first.startswith("Would delete what is older than ") and first.endswith(" UTC:")
    assert second.startswith("  3 deliveries, 3 attempts, 3 message statuses, 0 rejected events; in ")
    assert third == "Kept 1 delivery as old: unknown and left to a person (OPERATING.md says what to do)"
    done = system.command("prune", "--older-than", "90d")
    assert done.out.startswith("Deleted what is older than ") and events(system) == {"person"}


@pytest.mark.parametrize(
    "options, complaint",
    [
        (("--older-than", "90m"), "--older-than: expected 2d at least: Kafka may repeat younger events, and lookups need them (--young allows it)"),
        ((), "--older-than is missing, expected a duration such as 90d"),
        (("--older-than", "90"), "--older-than: '90' is not valid, expected a duration such as 90s, 15m, 24h, 7d"),
        (("--older-than", "0d"), "--older-than: '0d' is not valid, expected a duration such as 90s, 15m, 24h, 7d"),
        (("--older-than", "9d", "--pause", "x"), "--pause: 'x' is not valid, expected a duration such as 90s, 15m, 24h, 7d"),
    ],
)
def test_wrong_options(system, options, complaint):
    past(system, "old")
    done = system.command("prune", *options)
    assert (done.status, done.out, done.err) == (2, "", f"mms-worker prune: {complaint}\n")
    assert events(system) == {"old"}


def test_rejected_events(system):
    """Old and published ones go, more than a batch of them; and the others don't hold them up."""
    system.query(
        "insert into mms.rejected_events (topic, partition, \"offset\", event_id, reason, detail, worker, rejected_at, published_at)"
        " select 't', 0, n, 'e' || n, 'NOT_JSON', 'x', 'w', now() - case when n <= 450 then interval '100 days'"
        " else interval '80 days' end + n * interval '1 ms', case when n %% 3 > 0 then now() end from generate_series(1, 460) n"
    )
    assert counts(prune(system, "--dry-run")) == {"rejected_events": 300}
    assert counts(prune(system)) == {"rejected_events": 300}
    left = {int(row["event_id"][1:]) for row in system.query("select event_id from mms.rejected_events")}
    assert left == {n for n in range(1, 461) if n > 450 or n % 3 == 0}


def test_many_that_ended_at_one_moment(system):
    """More than is looked at together otherwise; in several batches. Also of destinations that are deleted."""
    tie(system)
    past(system, "one", count=25_000, destination="gone")
    system.query("update mms.attempts set finished_at = '2020-01-01'")
    past(system, "two", count=1500, destination="other")
    assert system.value("select count(*) from mms.destinations") == 0
    assert counts(prune(system))["deliveries"] == 26_500
    assert tables(system) == {}


@pytest.mark.timeout(120)
def test_beside_working_workers(system):
    """
    Three destinations have a past, a queue and live events. Two prunes go round while two workers send, are told of
    messages and publish; nothing pending, unpublished or followed is lost, no wake-up is, and nobody met a deadlock.
    """
    tie(system)
    for name in "abc":
        system.destination(name, to=f"+1555777000{ord(name) - 96}")
        past(system, "old", destination=name, count=4000)
    workers = [system.worker(reconcile_delay="3s") for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    system.sim.fault("error", {"to": "+15557770002"}, status=429, code=20429, times=2)
    system.produce_many([system.event(f"new {n}", "abc"[n % 3]) for n in range(24)])
    prunes = [system_prune(system, "--older-than", "90d", "--pause", "20ms") for _ in range(2)]
    # And one that would take what has only just ended.
    prunes += [system_prune(system, "--older-than", "1s", "--young", "--pause", "20ms")]
    assert [process.wait(60) for process in prunes] == [0, 0, 0]
    until_equal(lambda: system.value("select count(*) from mms.deliveries where event_id like 'old%%'"), 0, 5, "the past")
    done = lambda: {r["event_id"] for r in system.results() if r["outcome"] == "accepted"}
    until_equal(done, {f"new {n}" for n in range(24)}, 60, "the results of all events")
    assert len(system.sim.messages()) == 24 and system.overlooked() == []
    # The prune may have taken deliveries that were through with everything, and left those that are followed.
    assert system.value("select count(*) from mms.open_messages") == 24
    assert system.value("select count(*) from mms.deliveries") == 24
    said = [line for worker in workers for line in worker.log_lines() if line["level"] in ("warn", "error")]
    assert not [line for line in said if "postgresql" in json.dumps(line).lower()]
    assert system.value("select deadlocks from pg_stat_database where datname = current_database()") == 0


def system_prune(system, *options):
    """A prune in the background, with JSON in its log."""
    return Process(
        [BIN / "mms-worker", "prune", "--json", *options], env=system.env("operator"),
        log_path=system.directory / f"prune-{len(list(system.directory.glob('prune-*')))}.log", name="prune",
    )  # fmt: skip


def report_of(process):
    return json.loads([line for line in process.log_text().splitlines() if line.startswith("{")][0])


@pytest.mark.timeout(120)
def test_two_at_once_share_the_work(system):
    tie(system)
    past(system, "old", count=12_000)
    prunes = [system_prune(system, "--older-than", "90d", "--pause", "10ms") for _ in range(2)]
    assert [process.wait(60) for process in prunes] == [0, 0]
    deleted = [counts(report_of(process)) for process in prunes]
    assert {name: sum(one.get(name, 0) for one in deleted) for name in DELETED[:3]} == {
        "deliveries": 12_000, "attempts": 12_000, "message_statuses": 12_000,
    }  # fmt: skip
    assert tables(system) == {} and all(deleted)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_in_the_middle(system, number):
    """What is gone is gone as a whole, what it says is true, and the next one does the rest."""
    tie(system)
    past(system, "old", count=15_000)
    process = system_prune(system, "--older-than", "90d", "--pause", "300ms")
    until(lambda: system.value("select count(*) from mms.deliveries") < 13_000, 30, "two batches")
    process.send_signal(number)
    status = process.wait(10)
    left = tables(system)
    assert 0 < left["deliveries"] == left["attempts"] == left["message_statuses"] < 13_001
    if number == signal.SIGKILL:
        assert status == -number
    else:
        assert status == 1 and "mms-worker prune: interrupted; what was deleted stays deleted" in process.log_text()
        report = report_of(process)
        assert report["interrupted"] and report["deliveries"] == 15_000 - left["deliveries"]
    assert counts(prune(system))["deliveries"] == left["deliveries"] and tables(system) == {}


def test_it_waits_for_nobody(system):
    """A delivery, an attempt, a status, or the right to say something about a message is in somebody's hand: it stays."""
    tie(system)
    for event in ("delivery", "attempt", "status", "message", "free"):
        past(system, event, attempts=2)
    with contextlib.closing(Statements(system.postgres.connect(system.database))) as other, contextlib.suppress(Undo), other.transaction():
        cursor = other.connection.cursor()
        cursor.execute("update mms.deliveries set as_sms = as_sms where event_id = 'delivery'")
        cursor.execute(f"select 1 from mms.attempts where attempt = 1 and {of('attempt')} for update")
        cursor.execute(f"update mms.message_statuses set published_at = now() where {of('status')}")
        cursor.execute("select destination_id, id from mms.deliveries where event_id = 'message'")
        destination_id, delivery_id = cursor.fetchone()
        other.run("statuses_lock", [destination_id], [delivery_id])
        report = prune(system)
        assert (report["deliveries"], report["in_hand"]) == (1, 4)
        assert events(system) == {"delivery", "attempt", "status", "message"}
        raise Undo
    assert prune(system)["deliveries"] == 4 and tables(system) == {}


def test_a_repeated_event_is_new_after_its_delivery_is_gone(system):
    """As the help says: keep history for longer than Kafka keeps events."""
    system.destination("d")
    past(system, "e1")
    system.worker()
    system.produce(system.event("e1", "d"))
    system.produce(system.event("e2", "d"))
    system.wait_states(accepted=2)
    assert len(system.sim.posts()) == 1, "e1 was there"
    prune(system)
    system.produce(system.event("e1", "d"))
    until_equal(lambda: len(system.sim.posts()), 2, 30, "e1 as a new event")
    assert "Keep history for longer than Kafka keeps events" in system.command("prune", "--help").out


@pytest.mark.timeout(120)
def test_no_table_is_read_whole(system):
    """Beside a long history that stays, every table is reached by an index, or by a row's place."""
    past(system, "young", count=20_000, ago=YOUNG)
    past(system, "old", count=100)
    system.query("vacuum analyze")
    assert counts(prune(system, "--dry-run"))["deliveries"] == 100
    place = ["(0,1)", "(3,2)"]
    cutoff = system.value("select (now() - interval '90 days')::text")
    end = 1_000_000 * system.value("select extract(epoch from now() - interval '90 days')::int8")
    for name, types, parameters in (
        ("prune_cutoff", "int8", (1,)),
        ("prune_find", "int8, int8, int8, int8", (0, end, 1000, 20001)),
        ("prune_lock", "tid[]", (places(place),)),
        ("prune_judge", "tid[], text", (places(place), cutoff)),
        ("prune_lock_more", "tid[]", (places(place),)),
        ("prune_delete", "tid[], tid[], tid[]", 3 * (places(place),)),
    ):
        whole = tables_read_whole(system, name, types, *parameters)
        assert not whole & {"deliveries", "attempts", "message_statuses"}, name
    assert counts(prune(system))["deliveries"] == 100


def places(list):
    """An array of places, as text."""
    return "{" + ",".join(f'"{place}"' for place in list) + "}"


@pytest.mark.timeout(120)
def test_the_newest_attempts_of_a_destination_by_an_index(system):
    """As analysts write it: PostgreSQL sees that the newest fifty don't need the whole history of the destination."""
    past(system, "old", count=60_000)
    for table, id in (("deliveries", "id"), ("attempts", "delivery_id"), ("message_statuses", "delivery_id")):
        system.query(f"update mms.{table} set destination_id = 'd' || {id} %% 60")
    system.query("vacuum analyze")
    asked = "select * from mms.attempt_history where destination_id = 'd7' order by finished_at desc limit 50"
    plan = "\n".join(row["QUERY PLAN"] for row in system.query("explain " + asked))
    assert "Index Scan Backward using attempts_finished" in plan and "Sort Key: a.finished_at" not in plan
    plan = "\n".join(
        row["QUERY PLAN"] for row in system.query("explain select * from mms.attempt_history where event_id = 'old 7'")
    )
    assert "Seq Scan" not in plan and "deliveries_event_id" in plan


def test_an_event_goes_as_a_whole(system):
    """Old series of an event stay while a younger one is there, or is not over: or it could be replayed again."""
    system.destination("d")
    system.query(
        "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset, next_attempt_at,"
        " state, attempts, finished_at, replay, created_at, slot_at)"
        " select 'd', e, '{}', 't', 0, 0, now(), state, 1, now() - age * interval '1 day', replay, now(), now() - age * interval '1 day'"
        " from (values ('e1', 0, 'failed', 200), ('e1', 1, 'accepted', 1), ('e2', 0, 'failed', 200), ('e2', 1, 'pending', 200),"
        " ('e3', 0, 'failed', 200), ('e3', 1, 'accepted', 190)) v (e, replay, state, age)"
    )
    system.query(
        "insert into mms.attempts (destination_id, delivery_id, attempt, result_id, outcome, reason, final, finished_at, worker, published_at)"
        " select destination_id, id, 1, gen_random_uuid(), case state when 'pending' then 'retry' else state end, null, true, finished_at,"
        " 'w', now() from mms.deliveries"
    )
    assert system.command("prune", "--older-than", "90d").status == 0
    left = system.query("select event_id, replay from mms.deliveries order by 1, 2")
    assert [(r["event_id"], r["replay"]) for r in left] == [("e1", 0), ("e1", 1), ("e2", 0), ("e2", 1)]


def test_the_neighbours_of_what_is_looked_up_stay(system):
    """They say whose the messages are that Twilio lists."""
    system.destination("d")
    system.query(
        "insert into mms.deliveries (destination_id, event_id, event, source_topic, source_partition, source_offset, next_attempt_at,"
        " state, attempts, finished_at, slot_at, lookup_at)"
        " select 'd', e, '{}', 't', 0, 0, now(), state, 1, now() - interval '200 days', now() - interval '200 days' + secs * interval '1 second',"
        " lookup_at from (values ('near', 'accepted', 1, '-infinity'::timestamptz), ('far', 'accepted', 9000, '-infinity'),"
        " ('asked', 'unknown', 0, now())) v (e, state, secs, lookup_at)"
    )
    system.query(
        "insert into mms.attempts (destination_id, delivery_id, attempt, result_id, outcome, reason, final, finished_at, worker, published_at)"
        " select destination_id, id, 1, gen_random_uuid(), state, null, state <> 'unknown', finished_at, 'w', now() from mms.deliveries"
    )
    assert system.command("prune", "--older-than", "90d").status == 0
    assert {r["event_id"] for r in system.query("select event_id from mms.deliveries")} == {"near", "asked"}
