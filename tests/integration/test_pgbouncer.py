"""The same behind a PgBouncer that pools transactions: no worker has a session of its own."""

import pytest

from harness.fleet import RECONCILE, Fleet
from harness.pgbouncer import PgBouncer
from harness.system import LOGINS

WORKER = LOGINS["worker"][0]


@pytest.fixture
def bouncer(postgres, system):
    # Three connections for all, although each worker alone holds three.
    with PgBouncer(postgres, system.directory, pool_size=3, users=[WORKER]) as bouncer:
        yield bouncer
        for worker in system.workers:
            assert worker.stop(timeout=60) == 0


def test_the_pace_behind_pgbouncer(system, bouncer):
    """Four workers on three connections keep the pace, also when PgBouncer is restarted under them."""
    fleet = Fleet(system)
    url = bouncer.url(system.database, WORKER)
    fleet.start(4, database_url=url, **RECONCILE)
    fleet.produce(each=8)
    fleet.wait_sent(12)
    bouncer.restart()
    fleet.produce(each=4)
    fleet.wait_accepted()
    fleet.check_busy()
    sessions = system.value("select count(*) from pg_stat_activity where datname = %s", system.database)
    assert sessions <= 3 + 1, "who goes past PgBouncer?"


def test_migrating_through_pgbouncer(system, bouncer):
    """Schema changes need no session either."""
    system.query("drop schema mms cascade")
    system.migrate(database_url=bouncer.url(system.database))
    fleet = Fleet(system, destinations=1)
    fleet.start(1, database_url=bouncer.url(system.database, WORKER))
    fleet.produce(each=1)
    fleet.wait_accepted()
