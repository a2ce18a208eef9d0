"""Waiting for something to become true, instead of sleeping and hoping."""

import time

INTERVAL = 0.02


class TimedOut(AssertionError):
    """It did not happen in time. The text says what was awaited and what was seen last."""


def until(predicate, timeout=10.0, what="a condition", ignore=(), interval=INTERVAL):
    """Calls predicate until it returns something true, and returns that.

    An exception of a type in `ignore` counts as "not yet"; any other passes through, so a predicate can give up early.
    After `timeout` seconds: TimedOut, with `what` (text, or a function that makes it) and the last value.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            seen = predicate()
        except ignore as error:
            seen = error
        else:
            if seen:
                return seen
        if time.monotonic() >= deadline:
            what = what() if callable(what) else what
            raise TimedOut(f"waited {timeout:g} s for {what}; last seen: {seen!r}")
        time.sleep(interval)


def until_equal(read, expected, timeout=10.0, what="a value", ignore=(), interval=INTERVAL):
    """Calls read until it returns `expected`; a time-out shows what it returned last. Options as in until()."""

    def look():
        seen = read()
        return _Met() if seen == expected else _NotMet(seen)

    def explain():
        return f"{what() if callable(what) else what} to be {expected!r}"

    until(look, timeout, explain, ignore, interval)
    return expected


class _Met:
    """True, whatever was expected (which may be 0, None or empty)."""


class _NotMet:
    """False, and shows what was seen."""

    def __init__(self, seen):
        self.seen = seen

    def __bool__(self):
        return False

    def __repr__(self):
        return repr(self.seen)
