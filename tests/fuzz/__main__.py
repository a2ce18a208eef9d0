"""`make fuzz SECONDS=n`: all targets, or TARGET=name, for so many seconds each. README.md explains it.

usage: python3 -m fuzz SECONDS [TARGET]
"""

import signal
import sys

import fuzz

HEAD = ("target", "executions", "exec/s", "features", "new units", "findings")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seconds, chosen = sys.argv[1], sys.argv[2:] or fuzz.targets()
    if not seconds.isdigit() or int(seconds) == 0:
        sys.exit(f"make fuzz: SECONDS={seconds} is not valid, expected a whole number above 0")
    unknown = set(chosen) - set(fuzz.targets())
    if unknown:
        sys.exit(f"make fuzz: no target '{unknown.pop()}', expected one of {', '.join(fuzz.targets())}")
    print("{:<16} {:>12} {:>8} {:>9} {:>10} {:>9}".format(*HEAD), flush=True)
    failed = []
    for done in fuzz.run(chosen, int(seconds)):
        row = (done.target, done.executions, done.per_second, done.features, done.new_units, int(done.failed))
        print("{:<16} {:>12} {:>8} {:>9} {:>10} {:>9}".format(*row), flush=True)
        if done.failed:
            failed.append(done)
    for done in failed:
        print(f"\n{done.target}\n{fuzz.advice(done)}")
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
