"""`make failing`: each allocation on an event's way fails in turn. README.md explains it.

From the environment: SEED (random, and printed), POINTS: so many of each journey's allocations instead of as many as usual.
Status: 0 all was well; 1 not; 2 wrong settings; 130 after Ctrl-C.
"""

import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

from harness import BUILD
from harness.kafka import Kafka
from harness.postgres import Postgres
from harness.program import Wrong, main

from .run import FULL, Run, Scale

OUT = BUILD / "failing"


def _number(name):
    text = os.environ.get(name) or None
    if text is not None and not text.isdecimal():
        raise Wrong(f"{name}={text}: expected a number")
    return None if text is None else int(text)


def failing():
    seed, points = _number("SEED"), _number("POINTS")
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    scale = FULL if points is None else Scale(dict.fromkeys(FULL.points, points), FULL.lanes)
    print(f"mms-worker failing: SEED={seed}", flush=True)
    shutil.rmtree(OUT, ignore_errors=True)
    postgres, kafka = Postgres(OUT / "postgres", fsync=False), Kafka(OUT / "kafka")
    try:
        with ThreadPoolExecutor(2) as pool:
            for started in [pool.submit(server.start) for server in (postgres, kafka)]:
                started.result()
        tallies = Run(postgres, kafka, OUT / "logs", scale, seed).everything()
    finally:
        kafka.close()
        postgres.close()
    passed, failed = sum(tally.passed for tally in tallies), sum(tally.failed for tally in tallies)
    print(f"{passed} passed, {failed} failed" + (f"; logs: {OUT}, SEED={seed}" if failed else ""))
    if not failed:
        shutil.rmtree(OUT, ignore_errors=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    main("failing", failing)
