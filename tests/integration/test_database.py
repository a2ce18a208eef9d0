"""The database in trouble, and other people's transactions."""

import psycopg2

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
            worker = own.worker().wait_ready()
            own.produce(*[own.event(f"e{i}", "d") for i in range(8)])
            until(lambda: len(own.sim.posts()) >= 2, 30, "two sends")
            own.db.close()
            postgres.restart("immediate")
            own.db = postgres.connect(own.database)
            until(lambda: own.states().keys() <= {"accepted", "unknown"} and sum(own.states().values()) == 8, 60, "an end of each")
            bodies = [post["body"] for post in own.sim.posts()]
            assert len(bodies) == len(set(bodies))
            assert own.sim.gaps()["+15557770001"]["early"] == 0
            assert worker.stop() == 0
