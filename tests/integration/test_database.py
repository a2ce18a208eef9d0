"""The database in trouble, and other people's transactions."""

import time
from contextlib import closing

import psycopg2
import pytest

from harness.fleet import RECONCILE
from harness.process import free_port
from harness.wait import until


def test_an_open_transaction_on_a_destination_stops_nobody(system):
    """Somebody edits a row and goes to lunch: intake, claims and evidence go on for everybody."""
    system.destination("a", to="+15557770001")
    system.destination("b", to="+15557770002")
    system.worker().wait_ready()
    system.produce(system.event("a0", "a"))
    system.wait_states(accepted=1)
    other = system.postgres.connect(system.database)
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("update mms.destinations set name = 'edited' where id = 'a'")
        system.produce(system.event("a1", "a"), system.event("b0", "b"), partition=0)
        system.wait_states(accepted=3, timeout=15)
    other.commit()
    other.close()


def test_enabling_a_destination_is_never_overlooked(system):
    """The first event arrives, and is looked at, while the row is being enabled."""
    system.destination("d", to="+15557770001")
    system.query("update mms.destinations set disabled_at = now()")
    system.query("delete from mms.pacing")
    system.worker().wait_ready()
    other = system.postgres.connect(system.database)
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("update mms.destinations set disabled_at = null")
        system.produce(system.event("e", "d"))
        until(lambda: system.value("select count(*) from mms.pacing where due_at = 'infinity'"), 15, "a claim that saw it disabled")
    other.commit()
    other.close()
    system.wait_states(accepted=1, timeout=10)


def test_a_database_that_refuses_costs_no_event(system):
    """What is no fault of an event (here a column that nobody fills) is waited out, and /readyz says so."""
    system.destination("d", to="+15557770001")
    worker = system.worker().wait_ready()
    system.query("alter table mms.deliveries add column strange integer not null")
    system.produce(system.event("e", "d"))
    until(lambda: worker.get("/readyz")[0] == 503, 15, "/readyz to be red")
    assert "strange" in worker.get("/readyz")[1]
    assert system.value("select count(*) from mms.rejected_events") == 0
    system.query("alter table mms.deliveries drop column strange")
    system.wait_states(accepted=1)
    until(lambda: worker.get("/readyz")[0] == 200, 15, "/readyz to be green")


def test_stopping_while_published_results_cannot_be_marked(system):
    """Somebody holds the row: the worker ends in order all the same (sanitizers look whether it drops what it held)."""
    system.query("create function mms.hold() returns trigger language plpgsql as "
                 "'begin perform pg_advisory_xact_lock(20261123); return new; end'")
    system.query("create trigger hold before update of published_at on mms.attempts for each row execute function mms.hold()")
    system.destination("d", to="+15557770001")
    worker = system.worker().wait_ready()
    with closing(system.postgres.connect(system.database)) as other:
        other.cursor().execute("select pg_advisory_lock(20261123)")
        system.produce(system.event("e", "d"))
        waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'advisory'"
        until(lambda: system.value(waiting), 30, "the mark to wait")
        assert worker.stop(timeout=60) == 0
    system.worker().wait_ready()
    until(lambda: system.value("select count(*) from mms.attempts where published_at is not null"), 30, "the mark")


def test_the_second_host_of_a_database_url(system):
    """libpq tries the hosts in turn, on sockets that get the same number."""
    url = psycopg2.extensions.make_dsn(system.postgres.url(system.database))
    parts = psycopg2.extensions.parse_dsn(url)
    parts.update(host=f"{parts['host']},{parts['host']}", port=f"{free_port()},{parts['port']}")
    system.worker(database_url=psycopg2.extensions.make_dsn(**parts)).wait_ready(timeout=8)


def test_postgresql_restarts_at_once(system):
    """An immediate shutdown in the middle of the work: nothing is lost, and the pace is kept."""
    from harness import BUILD
    from harness.postgres import Postgres
    from harness.system import System

    with Postgres(BUILD / "test" / "restarted") as postgres:
        topics = [system.events_topic, system.results_topic, system.dead_letters_topic]
        with System(postgres, system.kafka, system.directory / "own", topics) as own:
            own.destination("d", to="+15557770001")
            worker = own.worker(**RECONCILE).wait_ready()
            own.produce(*[own.event(f"e{i}", "d") for i in range(8)])
            until(lambda: len(own.sim.posts()) >= 2, 30, "two sends")
            own.db.close()
            postgres.restart("immediate")
            own.db = postgres.connect(own.database)
            own.wait_states(accepted=8, timeout=60)
            bodies = [post["body"] for post in own.sim.posts()]
            assert sorted(bodies) == [f"e{i}: hello" for i in range(8)]
            assert own.sim.gaps()["+15557770001"]["early"] == 0
            assert worker.stop() == 0


def pacing_rows(system):
    """How many there are for each destination."""
    rows = system.query("select destination_id, count(*) as n from mms.pacing group by 1")
    return {row["destination_id"]: row["n"] for row in rows}


def test_a_second_pacing_row_becomes_part_of_the_first(system):
    """A restore of data alone brings rows that a trigger has made already: the pace knows one for each destination."""
    system.destination("d")
    system.query("update mms.pacing set due_at = 'infinity', next_slot_at = now() + interval '5 s', era = era - 7")
    system.query("insert into mms.pacing (destination_id, due_at, next_slot_at) values ('d', now(), now() + interval '9 s')")
    assert pacing_rows(system) == {"d": 1}
    assert system.value("select due_at < now() + interval '6 s' and next_slot_at > now() + interval '6 s' from mms.pacing")


def test_one_pacing_row_whatever_the_isolation(system):
    """A transaction that doesn't see a pacing row that is there can't make another."""
    other = system.postgres.connect(system.database)
    other.autocommit = False
    with closing(other), other.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read; select count(*) from mms.pacing")
        system.destination("d")
        system.query("delete from mms.destinations")
        cursor.execute("insert into mms.destinations (id) values ('d')")
        with pytest.raises(psycopg2.errors.SerializationFailure):
            other.commit()
    assert pacing_rows(system) == {"d": 1}


def test_a_long_stall_is_no_pause(system):
    """After a claim that took seconds (somebody's lock) the pace goes on at once."""
    system.destination("d", to="+15557770001")
    worker = system.worker().wait_ready()
    system.produce(*[system.event(f"e{i}", "d") for i in range(6)])
    until(lambda: len(system.sim.posts()) >= 2, 30, "two sends")
    blocker = system.postgres.connect(system.database)
    blocker.autocommit = False
    with closing(blocker), blocker.cursor() as cursor:
        cursor.execute("lock table mms.pacing in access exclusive mode")
        claims = worker.metric("mms_claims_total")
        time.sleep(6)  # the stall itself
        blocker.rollback()
    sent = len(system.sim.posts())
    assert sent < 6 and claims > 0
    begin = time.monotonic()
    system.wait_states(accepted=6, timeout=30)
    # A second for each, not the stall's length once more.
    assert time.monotonic() - begin < 6 - sent + 3.5
    assert system.sim.gaps()["+15557770001"]["early"] == 0


def test_a_schema_that_has_changed_is_found_out(system):
    """A newer schema in mid-work: the worker lets go, and says on /readyz what is to be done."""
    system.destination("d")
    worker = system.worker().wait_ready()
    system.query("insert into mms.schema_migrations (version, name) values (9999, '9999_future.sql')")
    system.query("alter table mms.deliveries rename column source_offset to renamed")
    system.produce(system.event("e", "d"))
    until(lambda: "newer than this program" in worker.get("/readyz")[1], 15, "/readyz to name the schema")
    system.query("alter table mms.deliveries rename column renamed to source_offset")
    system.query("delete from mms.schema_migrations where version = 9999")
    system.wait_states(accepted=1)


def test_an_encoding_that_events_do_not_fit_into_is_refused(system):
    """Elsewhere an escape in an event would make the look for unknown attempts fail, for everybody."""
    system.query(f"alter database {system.database} set client_encoding = 'LATIN1'")
    worker = system.worker()
    until(lambda: "is not UTF8" in worker.get("/readyz")[1], 15, "/readyz to name the encoding")
    system.query(f"alter database {system.database} reset client_encoding")
    worker.wait_ready()


def test_an_isolation_that_the_pace_cannot_rely_on_is_refused(system):
    """Each statement of a claim must see what was committed before it."""
    system.query(f'alter database "{system.database}" set default_transaction_isolation = \'repeatable read\'')
    worker = system.worker()
    until(lambda: "default_transaction_isolation" in worker.get("/readyz")[1], 15, "/readyz to name it")


def test_what_somebody_makes_due_for_ever_is_looked_at(system):
    """-infinity is a moment like any other."""
    system.destination("d")
    system.worker().wait_ready()
    until(lambda: system.value("select due_at = 'infinity' from mms.pacing"), 20, "the destination to be looked at")
    system.query("update mms.pacing set due_at = '-infinity'")
    until(lambda: system.value("select due_at = 'infinity' from mms.pacing"), 20, "it to be looked at again")
