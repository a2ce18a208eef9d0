"""Fixtures: one PostgreSQL and one Apache Kafka for the whole run, a fresh system on them for each test."""

import os
import shutil
from pathlib import Path

import pytest

from harness import BUILD, lanes
from harness import process as processes
from harness.kafka import Kafka
from harness.postgres import Postgres
from harness.system import System

SERVERS = BUILD / "test" / f"servers-{os.environ.get('TEST_LANE', 'one')}"


def pytest_configure(config):
    gone = [name for name in lanes.LANE_OF if not (Path(__file__).parent / f"{name}.py").exists()]
    assert not gone, f"harness/lanes.py names files that are not there: {gone}"
    for lane in lanes.LANES:
        config.addinivalue_line("markers", f"{lane}: this lane's tests; see harness/lanes.py")


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(lanes.LANE_OF.get(item.path.stem, lanes.FIRST))


@pytest.fixture(scope="session")
def postgres():
    with Postgres(SERVERS / "postgres", {"shared_preload_libraries": "pg_stat_statements"}) as server:
        yield server


@pytest.fixture(scope="session")
def kafka():
    with Kafka(SERVERS / "kafka") as server:
        yield server


@pytest.fixture
def system(request, postgres, kafka):
    """A System with a database, topics (12 partitions for events) and a simulator of its own; no worker yet."""
    name = request.node.name.replace("[", "-").replace("]", "")[:80]
    # With its file's name: the other lane may have a test of the same name at this moment.
    name = f"{request.node.path.stem}-{name}"
    directory = BUILD / "test" / "logs" / "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    shutil.rmtree(directory, ignore_errors=True)
    unique = f"{os.getpid()}.{abs(hash(request.node.nodeid)) % 10**8}"
    topics = [f"{kind}.{unique}" for kind in ("events", "results", "dead-letters")]
    kafka.create_topic(topics[0], 12, {"max.message.bytes": 8 << 20})
    kafka.create_topic(topics[1], 3)
    kafka.create_topic(topics[2], 1)
    before = {process.pid for process in processes.live()}
    with System(postgres, kafka, directory, topics) as system:
        yield system
        stopped = {worker.log_path.name: worker.stop(timeout=60) for worker in system.workers if worker.alive}
        system.check_workers()
        assert not any(stopped.values()), f"exit statuses after SIGTERM: {stopped}"
    before |= {postgres.pid, kafka.pid}  # a test may have restarted them
    left = [process.name for process in processes.live() if process.pid not in before]
    assert not left, f"processes left behind: {left}"
    if not getattr(request.node, "failed", False):
        shutil.rmtree(directory, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remembers a failure, so that its logs are kept and named."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.failed = True
        system = getattr(item, "funcargs", {}).get("system")
        if system:
            report.sections.append(("logs", f"kept in {system.directory}"))
            for worker in system.workers:
                report.sections.append((worker.log_path.name, worker.log_text()[-6000:]))
