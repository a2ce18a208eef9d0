"""The worker's statements as pg_stat_statements has counted them, by the name of their file in worker/sql."""

import re
from collections import defaultdict
from dataclasses import dataclass

from harness import ROOT
from harness.system import LOGINS

ROLE = LOGINS["worker"][0]  # what the bench itself asks is somebody else's

_SQL = """\
select query, calls, total_exec_time as exec_ms, total_plan_time as plan_ms
  from pg_stat_statements
 where dbid = (select oid from pg_database where datname = current_database())
   and userid = %s::regrole"""


@dataclass
class Count:
    calls: int = 0
    exec_ms: float = 0.0
    plan_ms: float = 0.0

    @property
    def ms(self):
        return self.exec_ms + self.plan_ms

    def __sub__(self, other):
        return Count(self.calls - other.calls, self.exec_ms - other.exec_ms, self.plan_ms - other.plan_ms)


def shape(sql):
    """A statement without comments, constants and layout: pg_stat_statements writes $n for each constant."""
    sql = re.sub(r"--[^\n]*", " ", sql)
    sql = re.sub(r"'[^']*'|\$\d+|\b\d+\b|\b(?:true|false|null)\b", "?", sql.lower())
    return " ".join(sql.split()).rstrip(" ;")


def _names():
    return {shape(path.read_text()): path.stem for path in sorted((ROOT / "worker" / "sql").glob("*.sql"))}


def read(system):
    """{name: Count}; what is in no file is under 'other'."""
    names = _names()
    counts = defaultdict(Count)
    for row in system.query(_SQL, ROLE):
        count = counts[names.get(shape(row["query"]), "other")]
        count.calls += row["calls"]
        count.exec_ms += row["exec_ms"]
        count.plan_ms += row["plan_ms"]
    return dict(counts)


def difference(after, before):
    return {name: count - before.get(name, Count()) for name, count in after.items()}


def claim_ms(counts):
    """Mean server time, planning included, of one claim: all its statements together. None if there was none."""
    claims = counts.get("claim", Count()).calls
    return sum(count.ms for name, count in counts.items() if name.startswith("claim")) / claims if claims else None
