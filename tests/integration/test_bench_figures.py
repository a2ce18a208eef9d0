"""The arithmetic of `make bench`."""

import pytest

from bench import figures, statements
from harness import ROOT


@pytest.mark.parametrize(
    "values, share, expected",
    [([], 0.5, None), ([7], 0.99, 7), ([3, 1, 2], 0.5, 2), ([1, 2, 3, 4], 0.5, 2), (range(1, 101), 0.99, 99), ([1, 2], 1.0, 2)],
)
def test_percentiles(values, share, expected):
    assert figures.percentile(values, share) == expected


def test_slots_used():
    """A group that left out every other slot, and one that used all of them; one send has no slot to use."""
    assert figures.slots_used([[0.0, 2.0, 4.0], [10.0, 11.0, 12.0], [5.0]]) == pytest.approx(4 / 6)
    assert figures.slots_used([[1.0]]) is None


def test_gaps_and_rates():
    assert figures.gaps([3.0, 1.0, 2.5]) == [1.5, 0.5]
    assert figures.own_rates([[0.0, 1.0, 2.0], [0.5, 2.5], [9.0]]) == pytest.approx(1.5)
    assert figures.rate([0.0, 1.0, 1.5, 2.0], 1.0, 2.0) == 2.0


def test_per_nothing():
    assert figures.per(5, 0) is None
    assert figures.per(None, 5) is None
    assert figures.per(1, 3) == 0.33


def test_statements_are_recognised():
    """As pg_stat_statements shows them: constants are parameters, comments and layout may stay."""
    names = statements._names()
    assert len(names) == len(list((ROOT / "worker" / "sql").glob("*.sql")))
    shown = "select id\n  from t -- all\n where state = $3 and n > $1::int8 * interval $2 limit $4"
    written = "SELECT id FROM t WHERE state = 'pending' and n > $1::int8 * interval '1 microsecond' limit 2;"
    assert statements.shape(shown) == statements.shape(written)


def test_a_claim_is_all_its_statements():
    count = statements.Count
    counts = {"claim_lock": count(4, 2.0, 2.0), "claim": count(4, 8.0, 0.0), "intake": count(1, 99.0, 0.0)}
    assert statements.claim_ms(counts) == 3.0
    assert statements.claim_ms({}) is None
