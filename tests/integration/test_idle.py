"""Idle costs nothing: what sleeps is not looked at, however much of it there is."""

import os
from contextlib import closing

import pytest

from harness.wait import until

POLLS = 10  # how long is watched, counted in the worker's own polls: about a second each
_TICKS = os.sysconf("SC_CLK_TCK")

_WAITING = """
    insert into mms.deliveries
           (destination_id, event_id, event, source_topic, source_partition, source_offset, next_attempt_at)
    select 'd', 'e' || n, '{}', 't', 0, n, now() + interval '1 hour'
      from generate_series(1, %s) n;
    update mms.pacing
       set parked_until = now() + interval '1 hour', due_at = now() + interval '1 hour'
     where destination_id = 'd'"""


# Watching the worker by its metrics makes it ask for the numbers of statistics.sql, every 10 s at most.
_FOR_METRICS = "statement_timeout|reltuples"


def cpu_seconds(pid):
    """What a process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@pytest.mark.parametrize("waiting", [0, 300_000])
def test_idle_costs_nothing(system, waiting):
    """At most two queries a second and hardly any CPU, also with many deliveries whose time has not come."""
    system.destination("d")
    if waiting:
        system.query(_WAITING, waiting)
        system.query("vacuum analyze")
    worker = system.worker().wait_ready()
    until(lambda: worker.metric("mms_polls_total") >= 3, 20, "the worker's start to be over")
    with closing(system.postgres.connect("postgres")) as outside:
        cursor = outside.cursor()
        cursor.execute("create extension if not exists pg_stat_statements")

        def look():
            """(seconds, queries, CPU seconds), as PostgreSQL and the kernel count."""
            cursor.execute(
                "select extract(epoch from clock_timestamp())::float8, coalesce(sum(s.calls), 0)::int"
                " from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = %s and s.query !~ %s",
                [system.database, _FOR_METRICS],
            )
            return *cursor.fetchone(), cpu_seconds(worker.pid)

        polls, claims = worker.metric("mms_polls_total"), worker.metric("mms_claims_total")
        begin = look()
        until(lambda: worker.metric("mms_polls_total") >= polls + POLLS, 40, "polls", interval=0.5)
        seconds, queries, cpu = (after - before for before, after in zip(begin, look(), strict=True))
    assert queries >= POLLS, "this counts nothing"
    assert queries / seconds <= 2.0, (queries, seconds)
    assert worker.metric("mms_claims_total") == claims, "a claim is three statements, with nothing to claim"
    assert cpu / seconds < 0.05, (cpu, seconds)
    assert system.states() == ({"pending": waiting} if waiting else {})
