"""`make soak`: an even load with mild faults for MINUTES (30), RATE events a second (500), WORKERS (2); nothing may grow.

Status: 0 every event became one message and nothing grew; 1 not; 2 wrong settings; 130 after Ctrl-C.
"""

import contextlib
import json
import math
import os
import shutil

from bench.world import SCRATCH, Servers
from harness import BUILD
from harness.program import Wrong, main

from .run import soak

JUDGED_FROM = 5  # minutes: in less, a line through the samples is mostly noise
OUT = BUILD / "soak"


def _number(name, default, least, most, kind):
    text = os.environ.get(name) or str(default)
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        raise Wrong(f"{name}={text}: expected a number from {least} to {most}")
    return value


def settings():
    """(minutes, rate, workers)"""
    return (
        _number("MINUTES", 30, 0.2, 1440, float),
        _number("RATE", 500, 10, 5000, int),
        _number("WORKERS", 2, 1, 32, int),
    )


def verdict(trend, minutes):
    if minutes < JUDGED_FROM or math.isinf(trend.allowed):
        return ""
    return "flat" if trend.flat else f"GROWS (allowed: {trend.allowed:.4g})"


def table(trends, minutes):
    """Lines: the median, the beginning, the end, the slope of the least squares line, and the judgement."""
    yield f"  {'':<26}{'median':>10}{'first':>10}{'last':>10}{'slope/h':>11}{'moved':>10}"
    for trend in filter(None, trends):
        figures = f"{trend.median:>10.5g}{trend.first:>10.5g}{trend.last:>10.5g}{trend.per_hour:>+11.3g}{trend.moved:>+10.3g}"
        yield f"  {trend.quantity.name:<26}{figures}  {verdict(trend, minutes)}".rstrip()


def write(done, minutes, rate, facts):
    OUT.mkdir(parents=True, exist_ok=True)
    figures = {
        trend.quantity.name: {"median": trend.median, "first": trend.first, "last": trend.last, "per_hour": trend.per_hour}
        for trend in filter(None, done.trends)
    }
    whole = {"minutes": minutes, "rate": rate, "events": done.events, "sends": done.sends, "faults": done.faults,
             "database_mib": round(done.database_mib, 1), "complaints": done.complaints, "trends": figures, **facts,
             "points": {name: [[round(at), value] for at, value in points] for name, points in done.points.items()}}  # fmt: skip
    (OUT / "soak.json").write_text(json.dumps(whole, indent=2) + "\n")


def conclude(done, minutes):
    print("\n".join(table(done.trends, minutes)))
    print(f"  {done.events} events, {done.sends} POSTs, {done.faults} faults; the database has {done.database_mib:.0f} MiB")
    growing = [trend.quantity.name for trend in filter(None, done.trends) if minutes >= JUDGED_FROM and not trend.flat]
    for complaint in done.complaints:
        print(f"  {complaint}")
    if done.complaints or growing:
        print("soak: FAIL" + (f": {', '.join(growing)} did not stay flat" if growing else ""))
        return 1
    print("soak: PASS" + ("" if minutes >= JUDGED_FROM else f" (slopes are judged from {JUDGED_FROM} minutes on)"))
    return 0


def run(minutes, rate, workers):
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        servers = Servers(stack)
        print(
            f"mms-worker soak: {minutes:g} minutes, {rate} events a second, {workers} workers,"
            f" {servers.facts['cores']} cores; load average before: {os.getloadavg()[0]:.2f}",
            flush=True,
        )
        done = soak(servers, workers, minutes, rate)
        write(done, minutes, rate, servers.facts)
    status = conclude(done, minutes)
    if status == 0:
        shutil.rmtree(SCRATCH, ignore_errors=True)
    else:
        print(f"logs: {SCRATCH}")
    return status


if __name__ == "__main__":
    main("soak", lambda: run(*settings()))
