#!/usr/bin/python3
"""`make playground`: the demo's servers and one worker, to play with until Ctrl-C. README.md says how.

Status: 0 after Ctrl-C, 1 if something could not be started or the worker ended.
"""

import contextlib
import os
import shlex
import shutil
import time

from harness import BIN, BUILD
from harness.program import Stopped, Wrong, main
from parts import start, start_playground_worker
from scenario import simulated
from show import say

DIRECTORY = BUILD / "playground"
SETTINGS = DIRECTORY / "env"


@contextlib.contextmanager
def work_directory():
    """One playground at a time: what it wrote is gone when it ends."""
    try:
        DIRECTORY.mkdir(parents=True)
    except FileExistsError:
        raise Wrong(f"{DIRECTORY} is there already: another playground runs, or one was killed (then remove it)") from None
    try:
        yield DIRECTORY
    finally:
        shutil.rmtree(DIRECTORY, ignore_errors=True)


def write_settings(system):
    """What a shell needs: the worker's settings, psql's, and the program on its path."""
    postgres = system.postgres
    psql = {"PGHOST": postgres.host, "PGPORT": postgres.port, "PGUSER": "postgres", "PGDATABASE": system.database}
    settings = sorted(system.env("person").items())
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings if name.startswith("MMS_")]
    lines += [
        f"export PATH={shlex.quote(str(BIN))}:$PATH",
        *(f"export {name}={shlex.quote(str(value))}" for name, value in psql.items()),
    ]
    temporary = SETTINGS.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text("\n".join(lines) + "\n")
    temporary.rename(SETTINGS)


def playground():
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        say("Starting:")
        system = start(stack, directory, simulated())
        system.sim.life("queued", {"status": "sent", "after_ms": 200}, {"status": "delivered", "after_ms": 1000})
        worker = start_playground_worker(system)
        write_settings(system)
        say(f"\nIn another terminal:\n\n    . {os.path.relpath(SETTINGS)}\n\nThen go on as README.md says. Ctrl-C ends this.")
        while worker.alive:
            time.sleep(0.2)  # until a signal comes
        say(f"the worker has ended:\n{worker.log_tail(5)}")
        return 1


def until_stopped():
    """For a playground, being stopped is the good end."""
    try:
        return playground()
    except Stopped:
        say("\nstopped; servers are ended, files are removed")
        return 0


if __name__ == "__main__":
    main("playground", until_stopped)
