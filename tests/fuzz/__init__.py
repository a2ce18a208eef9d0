"""Runs fuzz targets and reads what libFuzzer says of itself. README.md has the targets.

A target starts from its corpus in the repository; what it finds beyond that is kept under build/fuzz.
"""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness import BUILD, ROOT

HERE = ROOT / "tests" / "fuzz"
PROGRAMS = ROOT / "build" / "fuzz" / "bin"  # as the Makefile has it
WORK = BUILD / "fuzz"
CRASHES = WORK / "crashes"

LENGTH = 4096
LENGTHS = {"e164": 256, "url": 512, "attempt_id": 512, "values": 128, "mask": 1024, "reference": 512, "seal": 1024}
"""Bytes of an input at most, where few are enough."""

LIMITS = ["-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
AT_ONCE = 2

SHORT_RUNS = 2000
"""Of a short run, with the corpus: the same inputs each time, so that it says something of the program and not of luck."""


@dataclass
class Outcome:
    """What became of a target's run."""

    target: str
    executions: int = 0
    per_second: int = 0
    features: int = 0
    new_units: int = 0
    finding: Path | None = None
    failed: bool = False
    output: str = ""


def targets():
    """The names of all targets: their programs lie in build/fuzz/bin."""
    return sorted(source.stem for source in HERE.glob("*.c") if source.stem != "fuzz")


def command(target, seconds, found, short):
    """What runs a target; `found` is the folder for inputs that reach something new."""
    dictionary = HERE / "dictionaries" / target
    line = [PROGRAMS / target, *LIMITS, f"-max_total_time={seconds}", f"-max_len={LENGTHS.get(target, LENGTH)}"]
    line += [f"-artifact_prefix={CRASHES}/{target}-"]
    line += [f"-dict={dictionary}"] if dictionary.exists() else []
    line += ["-seed=1", f"-runs={SHORT_RUNS}"] if short else []
    return [str(part) for part in (*line, found, HERE / "corpus" / target)]


def read(target, output, status):
    """An Outcome from libFuzzer's output."""
    numbers = {name: int(value) for name, value in re.findall(r"^stat::(\w+): +(\d+)", output, re.M)}
    features = re.findall(r" ft: (\d+)", output)
    written = re.findall(r"Test unit written to (\S+)", output)
    return Outcome(
        target,
        executions=numbers.get("number_of_executed_units", 0),
        per_second=numbers.get("average_exec_per_sec", 0),
        features=int(features[-1]) if features else 0,
        new_units=numbers.get("new_units_added", 0),
        finding=Path(written[-1]) if written else None,
        failed=status != 0 or not features,
        output=output,
    )


def start(target, seconds, found, short):
    found.mkdir(parents=True, exist_ok=True)
    CRASHES.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, ASAN_OPTIONS="allow_addr2line=1", UBSAN_OPTIONS="print_stacktrace=1")
    log = open(WORK / f"{target}.log", "w+b")
    return subprocess.Popen(command(target, seconds, found, short), env=env, cwd=ROOT, stdout=log, stderr=log), log


def run(names, seconds, short=False):
    """Runs targets, some at once; yields an Outcome as each one ends.

    short: from the repository's corpus alone, with the same decisions each time, and nothing is kept.
    """
    waiting, running = list(names), {}
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                name = waiting.pop(0)
                found = WORK / "short" / name if short else WORK / name
                if short:
                    shutil.rmtree(found, ignore_errors=True)
                running[name] = start(name, seconds, found, short)
            for name, (process, log) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                log.seek(0)
                yield read(name, log.read().decode(errors="replace"), process.returncode)
                log.close()
            time.sleep(0.05)
    finally:
        for process, _ in running.values():
            process.kill()
            process.wait()


def advice(outcome):
    """How to look at what a target found."""
    lines = [line for line in outcome.output.splitlines() if "PROPERTY BROKEN" in line or "ERROR: " in line or "runtime error" in line]
    if outcome.finding is None:
        return "\n".join(lines or outcome.output.splitlines()[-20:])
    return "\n".join([*lines[:3], f"again:  build/fuzz/bin/{outcome.target} {os.path.relpath(outcome.finding, ROOT)}"])
