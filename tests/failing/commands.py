"""Subcommands whose allocations fail, one after the other."""

import itertools
import json

from harness.failing import FailingCalls
from harness.system import System, config

from .lane import Point, judge_end

_ROW = json.dumps({"id": "put", "name": "n", "type": "TWILIO_MMS", "config": config()})
_numbers = itertools.count()


def _put(system, under):
    return system.command("destination", "put", "-", stdin=_ROW, under=under)


def _send(system, under):
    return system.command("send", "--destination", "d", "--payload", '{"message": "hello"}', under=under)


def _check(system, under):
    return system.command("check", under=under)


def _migrate(system, under):
    """On an empty database; whatever came of it, a healthy one brings it to its end."""
    name = f"{system.database}_{next(_numbers)}"
    system.postgres.create_database(name)
    url = system.postgres.url(name)
    try:
        done = system.command("migrate", under=under, database_url=url)
        again = system.command("migrate", database_url=url)
        assert again.status == 0, again
        return done
    finally:
        system.postgres.drop_database(name)


COMMANDS = {"destination put": _put, "send": _send, "check": _check, "migrate": _migrate}


class Commands:
    """A System on which subcommands are called. A context manager."""

    def __init__(self, name, postgres, kafka, directory):
        self.calls = FailingCalls(name)
        topics = [f"{name}.{kind}" for kind in ("events", "results", "dead-letters")]
        for topic in topics:
            kafka.create_topic(topic, 1)
        self.system = System(postgres, kafka, directory / name, topics)
        self.system.destination("d")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.system.close()
        self.calls.close()

    def allocations(self, command):
        """How many a subcommand makes; it has to succeed."""
        self.calls.count()
        done = COMMANDS[command](self.system, self.calls.under)
        assert done.status == 0, done
        return self.calls.allocations

    def point(self, command, number):
        self.calls.count(fail_at=number)
        try:
            done = COMMANDS[command](self.system, self.calls.under)
        except Exception as error:  # a signal, an unknown status, bytes that are no text, no end, …
            return Point(number, f"{type(error).__name__}: {error}")
        if self.calls.failed:
            came, wrong = judge_end(done.status, done.err.splitlines())
        else:
            came, wrong = "not reached", done.status != 0
        return Point(number, came, wrong=wrong)
