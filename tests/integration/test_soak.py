"""`make soak` in short, and its arithmetic: does the line through the samples rise?"""

import types

import pytest

from soak import watch
from soak.run import soak
from soak.trend import Quantity, slope, trend

MEMORY = Quantity("memory", "MiB", share=0.05, least=1)


@pytest.mark.parametrize(
    "points, expected",
    [([], 0), ([(1, 5)], 0), ([(0, 1), (10, 21)], 2), ([(0, 3), (1, 3), (2, 3)], 0), ([(5, 1), (5, 9)], 0),
     ([(0, 0), (1, 1), (2, 1), (3, 2)], 0.6)],
)  # fmt: skip
def test_least_squares(points, expected):
    assert slope(points) == pytest.approx(expected)


def test_what_grows_is_found():
    """A leak of a MiB a minute in noise of 2 MiB grows; noise alone, and what shrinks, doesn't."""
    noise = [2 * ((7 * n) % 5) / 5 for n in range(120)]
    assert not trend(MEMORY, [(15 * n, 20 + 15 * n / 60 + noise[n]) for n in range(120)]).flat
    assert trend(MEMORY, [(15 * n, 20 + noise[n]) for n in range(120)]).flat
    assert trend(MEMORY, [(15 * n, 50 - n / 10) for n in range(120)]).flat


def test_little_is_not_much():
    """A counter that goes from 0 to 0.5 has no share to be measured by; its unit says how little is nothing."""
    assert trend(MEMORY, [(0, 0.0), (60, 0.5)]).flat
    assert not trend(MEMORY, [(0, 0.0), (60, 1.5)]).flat
    assert trend(MEMORY, [(0, None), (60, 1.0)]) is None


@pytest.mark.timeout(150)
def test_soak(postgres, kafka):
    """Every event becomes one message, whatever the mild faults do; and every quantity was measured."""
    servers = types.SimpleNamespace(postgres=postgres, kafka=kafka)
    settings = {"twilio_timeout": "3s", "reconcile_delay": "4s", "lease": "15s", "retry_base": "1s", "retry_max": "2s"}
    done = soak(servers, 2, 0.2, 60, say=lambda _: None, **settings)
    assert not done.complaints
    assert done.events == 720 and done.sends >= done.events and done.faults > 0
    measured = {trend.quantity.name for trend in done.trends if trend}
    assert measured == {quantity.name for quantity in watch.QUANTITIES}
