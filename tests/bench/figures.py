"""What the numbers are made of: percentiles, gaps, slots. Pure functions on moments in seconds."""

import math
import statistics

SPACING = 1.0  # seconds between two sends to one destination


def percentile(values, share):
    """The smallest value that at least `share` (0 to 1) of all values don't exceed; None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values):
    """None without values."""
    values = list(values)
    return statistics.median(values) if values else None


def gaps(times):
    """Seconds between neighbours in time."""
    ordered = sorted(times)
    return [b - a for a, b in zip(ordered, ordered[1:])]


def slots_used(groups):
    """The share of the slots between first and last send that were used, over all groups (lists of moments)."""
    used = offered = 0.0
    for times in groups:
        if len(times) > 1:
            used += (len(times) - 1) * SPACING
            offered += max(times) - min(times)
    return used / offered if offered else None


def own_rates(groups):
    """The sum of the groups' own rates, each between its first and last send: no burst at an edge distorts it."""
    return sum((len(times) - 1) / (max(times) - min(times)) for times in groups if len(times) > 1)


def between(times, begin, end):
    """How many of the moments are in [begin, end)."""
    return sum(begin <= at < end for at in times)


def rate(times, begin, end):
    """The same, per second."""
    return between(times, begin, end) / (end - begin)


def ms(seconds, digits=3):
    """Milliseconds, rounded; None stays."""
    return None if seconds is None else round(1000 * seconds, digits)


def per(amount, count, digits=2):
    """amount / count, rounded; None if there is nothing to divide by, or nothing to divide."""
    return None if amount is None or not count else round(amount / count, digits)
