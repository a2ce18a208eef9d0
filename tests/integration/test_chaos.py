"""`make chaos` in short: everything that it does, once at least, in less than 90 seconds."""

import os
import random
import shutil

import pytest

from chaos import plan, report
from chaos.run import run
from harness import BUILD


@pytest.mark.timeout(170)
def test_never_lost_never_twice():
    """The seed of a failure, given again as SEED, makes the same decisions."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"chaos: SEED={seed}")
    directory = BUILD / "test" / "logs" / "chaos"
    shutil.rmtree(directory, ignore_errors=True)
    done = run(plan.make(seed, plan.SHORT), directory, listen=print)
    print("\n".join(report.table(done.figures())))
    assert not done.complaints, "\n".join(
        [f"chaos: FAIL SEED={seed}, logs in {directory}:", *report.few(done.complaints)]
    )
    shutil.rmtree(directory)
