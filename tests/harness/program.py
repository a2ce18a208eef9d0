"""The frame of `make demo`, `make bench`, `make chaos` and `make failing`: signals, wrong settings, and the exit status."""

import os
import signal
import sys

from . import Unavailable


class Wrong(Exception):
    """The environment is not right; the text says what is missing or wrong."""


class Stopped(BaseException):
    """A signal has asked us to end; the status says which."""

    def __init__(self, number):
        super().__init__(number)
        self.status = 128 + number


def _stop_on_signals():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number, _frame):
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # the second Ctrl-C doesn't disturb the cleaning up
        raise Stopped(number)

    for number in numbers:
        signal.signal(number, stop)


def main(name, job):
    """Ends the process with what job() returns, with 2 for wrong settings, with 1 if something can't be had."""
    sys.stdout.reconfigure(line_buffering=True)
    # What is set for other databases is not meant for ours.
    for variable in [variable for variable in os.environ if variable.startswith("PG")]:
        del os.environ[variable]
    _stop_on_signals()
    try:
        status = job()
    except Wrong as error:
        print(f"{name}: {error}", file=sys.stderr)
        status = 2
    except Unavailable as error:
        print(f"{name}: {error}", file=sys.stderr)
        status = 1
    except Stopped as stopped:
        print("\nstopped; servers are ended, files are removed", flush=True)
        status = stopped.status
    sys.exit(status)
