#!/usr/bin/python3
"""`make demo`: the worker's main job on real parts, in less than a minute. README.md says what it shows.

TWILIO=real in the environment sends real messages. Status: 0 passed, 1 not, 2 wrong settings, 130 after Ctrl-C.
"""

import contextlib
import json
import os
import shutil

from checks import problems
from facts import gather
from harness import BUILD
from harness.program import Wrong, main
from parts import WORKERS, start, start_workers
from progress import follow, follow_up
from report import report, totals
from scenario import announce, real, simulated
from show import say, section

LIMIT = 90  # seconds for all sends of the demo
REAL_LIMIT = 150  # Twilio may be slow
FOLLOW_UP_LIMIT = 60  # seconds for what becomes of real messages


def choose_scenario():
    choice = os.environ.get("TWILIO", "")
    if choice not in ("", "real"):
        raise Wrong(f"TWILIO={choice}: expected TWILIO=real, or nothing for the simulator")
    return real() if choice == "real" else simulated()


@contextlib.contextmanager
def work_directory():
    """A directory for logs, below the build folder; it is kept only when something was wrong."""
    directory = BUILD / "demo" / str(os.getpid())
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    keep = []
    try:
        yield directory, keep
    finally:
        (directory / "pgpass").unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
            with contextlib.suppress(OSError):
                directory.parent.rmdir()


def prepare(system, scenario):
    """Destinations into PostgreSQL, faults and passwords into the simulator."""
    for id, name, config in scenario.destinations:
        row = (id, name, json.dumps(config))
        system.query("insert into mms.destinations (id, name, config) values (%s, %s, %s)", *row)
        if scenario.simulated:
            system.sim.set_token(**config["auth"])
    for fault in scenario.faults:
        system.sim.fault(**fault)
    for steps, rule in scenario.lives:
        system.sim.life(*steps, **rule)


def produce(system, scenario):
    keys, values = zip(*scenario.records)
    system.kafka.produce_many(system.events_topic, values, keys)
    bad = sum(scenario.rejected.values()) + sum(history[-1][0] == "failed" for history in scenario.expected.values())
    note = f"; bad on purpose: {bad}, repeated: {scenario.repeated}" if scenario.simulated else ""
    say(f"\n{len(values)} events produced to {system.events_topic}{note}\n")


def run(scenario):
    """The demo from beginning to end; returns the exit status."""
    with contextlib.ExitStack() as stack:
        directory, keep = stack.enter_context(work_directory())
        say("Starting (look in while it runs):")
        system = start(stack, directory, scenario)
        prepare(system, scenario)
        start_workers(system, scenario)
        produce(system, scenario)
        trouble = follow(system, scenario, LIMIT if scenario.simulated else REAL_LIMIT)
        if not scenario.simulated and not trouble:
            trouble = follow_up(system, FOLLOW_UP_LIMIT)
        facts = gather(system, scenario, system.stop_workers())
        report(facts, scenario)
        wrong = ([trouble] if trouble else []) + problems(facts, scenario, complete=not trouble)
        if wrong:
            keep.append(True)
            section("What is wrong", "\n".join("  " + line for line in wrong))
            say(f"  logs are kept in {directory}")
        totals(facts, scenario, not wrong)
        return 1 if wrong else 0


def demo():
    scenario = choose_scenario()
    ids = ", ".join(id for id, _, _ in scenario.destinations)
    twilio = "a simulator of Twilio" if scenario.simulated else "Twilio itself"
    say(f"mms-worker demo: {WORKERS} workers send to {twilio}, for {ids}\n")
    if not scenario.simulated:
        say("\n".join(announce(scenario)) + "\n")
    return run(scenario)


if __name__ == "__main__":
    main("demo", demo)
