"""`make chaos`: crashes, time-outs and outages at random, and then everything is counted. README.md explains it.

From the environment: SEED (random, and printed), EVENTS (20000), DESTINATIONS (500), MINUTES of disturbance (4).
Status: 0 all was well; 1 not; 2 wrong settings; 130 after Ctrl-C.
"""

import os
import random
import shutil
import sys
import traceback
from dataclasses import replace

from harness import BUILD, ROOT, Unavailable
from harness.program import Stopped, Wrong, main

from . import plan, report
from .run import run

OUT = BUILD / "chaos"
LOGS = OUT / "logs"  # kept only when something was wrong


def _number(name, least, most, whole=True):
    """A setting, or None."""
    text = os.environ.get(name) or None
    if text is None:
        return None
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        raise Wrong(f"{name}={text}: expected a number from {least} to {most}")
    return value


def settings():
    """(seed, scale)"""
    changes = {"events": _number("EVENTS", 100, 1_000_000), "destinations": _number("DESTINATIONS", 5, 10_000)}
    minutes = _number("MINUTES", 0.5, 600, whole=False)
    changes["seconds"] = None if minutes is None else 60 * minutes
    seed = _number("SEED", 0, 2**63 - 1)
    scale = replace(plan.FULL, **{name: value for name, value in changes.items() if value is not None})
    return random.SystemRandom().randrange(1_000_000) if seed is None else seed, scale


def shown(path):
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def conclude(seed, done):
    """Figures, complaints, and the closing line; returns the exit status."""
    figures = done.figures()
    path = report.write(OUT, figures, done.complaints)
    print("\n".join(["", *report.table(figures), ""]))
    if not done.complaints:
        print(f"figures: {shown(path)}")
        print(f"chaos: PASS seed={seed}")
        return 0
    print("\n".join(report.few(done.complaints)))
    kinds = ", ".join(f"{kind} {count}" for kind, count in figures["complaints"].items())
    print(f"figures and all complaints: {shown(path)}; logs: {shown(LOGS)}")
    print(f"chaos: FAIL seed={seed}: {kinds}")
    return 1


def chaos(seed, scale):
    decided = plan.make(seed, scale)
    print(
        f"mms-worker chaos: seed={seed}, {scale.events} events, {scale.destinations} destinations,"
        f" {scale.seconds / 60:g} minutes; load average before: {os.getloadavg()[0]:.2f}",
        flush=True,
    )
    shutil.rmtree(LOGS, ignore_errors=True)
    keep = True
    try:
        done = run(decided, LOGS, listen=print)
        status = conclude(seed, done)
        keep = status != 0
        return status
    except (Stopped, Unavailable):
        keep = False
        raise
    except Exception as error:  # not what it is about, and no proof either
        traceback.print_exc(file=sys.stdout)
        print(f"logs: {shown(LOGS)}")
        print(f"chaos: FAIL seed={seed}: {type(error).__name__}: {error}")
        return 1
    finally:
        if not keep:
            shutil.rmtree(LOGS, ignore_errors=True)


if __name__ == "__main__":
    main("chaos", lambda: chaos(*settings()))
