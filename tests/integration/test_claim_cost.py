"""What a claim costs depends neither on how much waits behind the deliveries that it takes, nor on long transactions; nor does an outbox's."""

import collections
import time
from contextlib import closing

import pytest

from harness.statements import MICROSECONDS, Ended, Statements
from harness.wait import until

OTHERS, OF_EACH_OTHER = 1000, 100
FEW, MANY = 1_000, 200_000
CLAIM = {"look_ahead": 0, "limit": 200, "lease": 90 * MICROSECONDS, "spacing": MICROSECONDS, "window": 3 * MICROSECONDS}

_DELIVERIES = """
    insert into mms.deliveries
           (destination_id, event_id, event, source_topic, source_partition, source_offset, next_attempt_at)
    select d.id, 'e' || n, %s, 't', 0, n, clock_timestamp()
      from generate_series(%s, %s) n, mms.destinations d
     where d.id like %s"""

# Every page of a table or an index that this transaction has asked for.
_PAGES = """
    select sum(pg_stat_get_xact_blocks_fetched(c.oid))::int8
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('mms', 'pg_toast') and c.relkind in ('r', 'i', 't')"""


def pages_so_far(statements):
    """How many pages this transaction has asked for."""
    cursor = statements.connection.cursor()
    cursor.execute(_PAGES)
    return cursor.fetchone()[0]


def claim_pages(system):
    """How many pages a claim touches that takes 'busy' and others; it is undone."""
    with closing(Statements(system.postgres.connect(system.database))) as statements:
        try:
            with statements.transaction():
                before = pages_so_far(statements)
                claimed = statements.claim_statements(**CLAIM)
                pages = pages_so_far(statements) - before
                raise Undo
        except Undo:
            pass
    assert len(claimed) == CLAIM["limit"]
    assert "busy" in {row.destination_id for row in claimed}
    return pages


class Undo(Exception):
    """Rolls a transaction back."""


def test_a_claim_costs_the_same_with_any_backlog(system):
    """Pages touched with 1 000 deliveries for a destination and with 200 000, beside 1 000 other destinations."""
    system.destination("busy")
    system.query(
        "insert into mms.destinations (id, config) select 'other' || n, '{}' from generate_series(1, %s) n", OTHERS
    )
    system.query(_DELIVERIES, "{}", 1, OF_EACH_OTHER, "other%")
    system.query(_DELIVERIES, "{}", 1, FEW, "busy")
    system.query("update mms.pacing set due_at = now()")
    system.query("update mms.pacing set due_at = '-infinity' where destination_id = 'busy'")
    system.query("vacuum analyze")
    few = claim_pages(system)
    system.query(_DELIVERIES, "{}", FEW + 1, MANY, "busy")
    system.query("vacuum analyze")
    many = claim_pages(system)
    assert many <= 1.2 * few, (few, many)


PACE = 0.1  # seconds from slot to slot of the one destination: the eras of several begin each at its own time
WARM = 4.0  # seconds; after that, and so many rounds, as much lies behind the floor as ever will
WARM_ROUNDS = 40
HALF = 16.0  # seconds; an era of a pacing row is ten, so that each half sees one begin
FLOOR = -3000  # milliseconds, as the worker has it


class Measured(Statements):
    """Notes how many pages each statement touches."""

    def __init__(self, connection):
        self.halves = [collections.defaultdict(list) for _ in range(3)]
        self.half = 0
        super().__init__(connection)

    def run(self, name, *parameters):
        before = pages_so_far(self)
        rows = super().run(name, *parameters)
        self.halves[self.half][name].append(pages_so_far(self) - before)
        return rows


@pytest.mark.timeout(120)
def test_a_long_transaction_makes_nothing_dearer(system):
    """While a transaction stays open, PostgreSQL keeps every version of every pacing row; nobody walks through them."""
    system.destination("only")
    # Few to a page: deliveries that are gone would be met on as many pages.
    system.query(_DELIVERIES, '"' + 2000 * "x" + '"', 1, 600, "only")
    system.query("update mms.pacing set due_at = now()")
    system.query("vacuum analyze")
    reader = system.postgres.connect(system.database)
    reader.autocommit = False
    with closing(reader), closing(Measured(system.postgres.connect(system.database))) as statements:
        reader.cursor().execute("set transaction isolation level repeatable read; select count(*) from mms.pacing")
        begin, rounds = time.monotonic(), 0
        while (passed := time.monotonic() - begin) < WARM + 2 * HALF:
            rounds += 1
            statements.half = (passed > WARM and rounds > WARM_ROUNDS) + (passed > WARM + HALF)
            claimed = statements.claim(window=MICROSECONDS, floor=statements.in_ms(FLOOR))
            next_slot = statements.in_ms(PACE * 1000)
            statements.evidence(*[Ended(row, "accepted", next_slot_at=next_slot) for row in claimed])
            time.sleep(PACE)
    for name, first in statements.halves[1].items():
        second = statements.halves[2][name]
        assert len(second) > 50, name
        # The cheapest ones, at an era's beginning. What grows with the transaction's age costs three times as much now.
        assert min(second) <= 1.25 * min(first) + 5, name


REJECTED = 6000


def test_publishing_rejections_walks_through_none_again(system):
    """A flood of what can't be an event, while a transaction keeps PostgreSQL from forgetting what was published of it."""
    read = "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'rejected_events_unpublished'"
    published = "select count(published_at) from mms.rejected_events"
    system.destination("d")
    system.worker().wait_ready()
    system.produce_many(["no object"] * 600)
    until(lambda: system.value(published) == 600, 30, "the first to be published")
    system.query("vacuum analyze mms.rejected_events")
    reader = system.postgres.connect(system.database)
    reader.autocommit = False
    with closing(reader):
        reader.cursor().execute("set transaction isolation level repeatable read; select count(*) from mms.rejected_events")
        before = system.value(read)
        system.produce_many(["no object"] * REJECTED)
        until(lambda: system.value(published) == 600 + REJECTED, 40, "all of it to be published")
        until(lambda: system.value(read) - before >= REJECTED, 20, "statistics")
        assert system.value(read) - before < 3 * REJECTED
