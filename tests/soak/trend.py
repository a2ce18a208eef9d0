"""Does it grow? Least squares over samples, and a judgement. Pure functions."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """Something that must stay flat.

    share    how much of its own median it may move over the run, as its line says
    least    … and at least this much, in its own unit: so small a movement is none, whatever its share
    """

    name: str
    unit: str
    share: float
    least: float


@dataclass(frozen=True)
class Trend:
    """What a quantity did. first, last: medians of the first and the last fifth; moved: the line's end less its beginning."""

    quantity: Quantity
    median: float
    first: float
    last: float
    per_hour: float
    moved: float

    @property
    def allowed(self):
        return max(self.quantity.least, self.quantity.share * abs(self.median))

    @property
    def flat(self):
        """What shrinks (a queue that empties, a cache that gives back) is no leak."""
        return self.moved <= self.allowed


def slope(points):
    """Least squares: how much y grows for each x. Points are (x, y); 0 for less than two different x."""
    if len(points) < 2:
        return 0.0
    mean_x = statistics.fmean(x for x, _ in points)
    mean_y = statistics.fmean(y for _, y in points)
    below = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / below if below else 0.0


def trend(quantity, points):
    """points: (seconds, value), in order of time; None for less than two."""
    points = [(at, value) for at, value in points if value is not None]
    if len(points) < 2:
        return None
    values = [value for _, value in points]
    fifth = max(1, len(points) // 5)
    a_second = slope(points)
    return Trend(
        quantity=quantity,
        median=statistics.median(values),
        first=statistics.median(values[:fifth]),
        last=statistics.median(values[-fifth:]),
        per_hour=3600 * a_second,
        moved=a_second * (points[-1][0] - points[0][0]),
    )
