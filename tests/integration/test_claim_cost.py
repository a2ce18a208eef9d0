"""What a claim costs does not depend on how much waits behind the deliveries that it takes."""

from contextlib import closing

from harness.statements import MICROSECONDS, Statements

OTHERS, OF_EACH_OTHER = 1000, 100
FEW, MANY = 1_000, 200_000
CLAIM = {"look_ahead": 0, "limit": 200, "lease": 90 * MICROSECONDS, "spacing": MICROSECONDS, "window": 3 * MICROSECONDS}

_DELIVERIES = """
    insert into mms.deliveries
           (destination_id, event_id, event, source_topic, source_partition, source_offset, next_attempt_at)
    select d.id, 'e' || n, '{}', 't', 0, n, clock_timestamp()
      from generate_series(%s, %s) n, mms.destinations d
     where d.id like %s"""

# Every page of a table or an index that this transaction has asked for.
_PAGES = """
    select sum(pg_stat_get_xact_blocks_fetched(c.oid))::int8
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('mms', 'pg_toast') and c.relkind in ('r', 'i', 't')"""


def claim_pages(system):
    """How many pages a claim touches that takes 'busy' and others; it is undone."""
    with closing(Statements(system.postgres.connect(system.database))) as statements:
        cursor = statements.connection.cursor()
        try:
            with statements.transaction():
                cursor.execute(_PAGES)
                before = cursor.fetchone()[0]
                claimed = statements.claim_statements(**CLAIM)
                cursor.execute(_PAGES)
                pages = cursor.fetchone()[0] - before
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
    system.query(_DELIVERIES, 1, OF_EACH_OTHER, "other%")
    system.query(_DELIVERIES, 1, FEW, "busy")
    system.query("update mms.pacing set due_at = now()")
    system.query("update mms.pacing set due_at = '-infinity' where destination_id = 'busy'")
    system.query("vacuum analyze")
    few = claim_pages(system)
    system.query(_DELIVERIES, FEW + 1, MANY, "busy")
    system.query("vacuum analyze")
    many = claim_pages(system)
    assert many <= 1.2 * few, (few, many)
