"""The scenario `history`: a long past, what it costs to ask it, and to get rid of it beside working workers."""

import hashlib
import json
import os
import random
import time

from harness import BIN, ROOT
from harness.process import Process
from harness.program import Wrong
from harness.wait import until

from . import machine, past
from .figures import between, per, percentile
from .offer import Offer
from .report import cost_keys, pace_keys, spread
from .world import destination, new_system

_DESTINATIONS = 1000
_ASKED = 200  # events, and destinations, of each question
_SQL = ROOT / "worker" / "commands" / "sql"
_LIMIT = 50

# name: statement (a file of worker/commands/sql, or what an analyst writes), types, parameters of an event or destination
_QUESTIONS = {
    "event_story": ("event.sql", "text, text", lambda event, _: (event, "false")),
    "event_attempts": ("attempts_of_event.sql", "text, text, text, text, int8, text", lambda event, _: (*4 * [None], _LIMIT, event)),
    "event_view": ("select * from mms.attempt_history where event_id = $1 order by finished_at", "text", lambda event, _: (event,)),
    "destination_attempts": ("attempts.sql", "text, text, text, text, int8", lambda _, id: (id, None, None, None, _LIMIT)),
    "destination_view": (
        f"select * from mms.attempt_history where destination_id = $1 order by finished_at desc limit {_LIMIT}",
        "text", lambda _, id: (id,),
    ),
    "latest_attempts": ("attempts.sql", "text, text, text, text, int8", lambda *_: (*4 * [None], _LIMIT)),
}  # fmt: skip


def attempts_wanted():
    """ATTEMPTS in the environment."""
    text = os.environ.get("ATTEMPTS") or "10000000"
    if not text.isdigit() or not 10_000 <= int(text) <= 100_000_000:
        raise Wrong(f"ATTEMPTS={text}: expected a number from 10000 to 100000000")
    return int(text)


def history(servers, workers):
    """10 million attempts (or ATTEMPTS): the history of an event or destination, and prune beside workers."""
    wanted = attempts_wanted()
    with new_system(servers, "history") as system:
        system.destinations(_DESTINATIONS)
        begun = time.monotonic()
        deliveries, attempts = past.make(system, wanted, _DESTINATIONS)
        size = system.value("select pg_database_size(current_database())")
        found = {"attempts": attempts, "load_s": round(time.monotonic() - begun, 1), "size_gib": round(size / 2**30, 2)}
        servers.postgres.restart()
        system.reconnect()
        found.update(_ask(system, deliveries))
        found.update(_prune_alone(system))
        found.update(_prune_beside(system, workers))
        found.update(pace_keys(system.sim.gaps()), worker_rss_mib=round(system.worker_rss_mib(), 1))
        system.stop_workers()
    return found


def _ask(system, deliveries):
    """Each question of events and destinations at random: first after PostgreSQL's start, then once more the same."""
    cursor = system.db.cursor()
    backend = system.value("select pg_backend_pid()")
    cursor.execute("set plan_cache_mode = force_custom_plan; set timezone = 'UTC'")  # as the subcommands have it
    chosen = random.Random(6)
    asked = [
        ("evt_" + hashlib.md5(str(chosen.randint(1, deliveries)).encode()).hexdigest(), destination(chosen.randrange(_DESTINATIONS)))
        for _ in range(_ASKED)
    ]
    asked[0] = (asked[0][0], destination(0))  # the busy one
    found = {}
    for name, (sql, types, parameters) in _QUESTIONS.items():
        cursor.execute(f"prepare {name} ({types}) as " + ((_SQL / sql).read_text() if sql.endswith(".sql") else sql))
        for temperature in ("cold", "warm"):
            begun = machine.cpu_us(backend)
            times = [_time(cursor, name, parameters(*pair)) for pair in asked]
            found.update(spread(f"{name}_{temperature}", times, (("p50", 0.5), ("p99", 0.99))))
            found[f"{name}_{temperature}_cpu_ms"] = round((machine.cpu_us(backend) - begun) / 1000 / len(asked), 2)
    return found


def _time(cursor, name, parameters):
    begun = time.perf_counter()
    cursor.execute(f"execute {name} ({', '.join(['%s'] * len(parameters))})", parameters)
    if not cursor.fetchall():
        raise RuntimeError(f"{name} {parameters}: nothing found")
    return time.perf_counter() - begun


# ---- prune ----


def _prune(system, older_than_days):
    log = system.directory / f"prune-{older_than_days}.log"
    arguments = [BIN / "mms-worker", "prune", "--older-than", f"{older_than_days}d", "--json"]
    return Process(arguments, env=system.env("operator"), log_path=log, name="mms-worker prune")


def _report(process):
    return json.loads(next(line for line in process.log_text().splitlines() if line.startswith("{")))


def _prune_alone(system):
    """Two days of the past, nobody else at work."""
    process = _prune(system, past.DAYS - 2)
    if process.wait(600) != 0:
        raise RuntimeError(f"prune failed: {process.log_text()}")
    report = _report(process)
    return {"pruned": report["deliveries"], "prune_per_s": per(report["deliveries"], report["seconds"], 1)}


def _prune_beside(system, workers):
    """500 events a second, without a prune and then beside one that is interrupted at the end."""
    system.start_workers(workers)
    _load(system, "warm-up")
    alone = _load(system, "alone")
    process = _prune(system, past.DAYS // 2)
    beside = _load(system, "beside")
    if process.alive:
        process.send_signal(2)
    process.wait(60)
    report = _report(process)
    return {
        "sends": beside["sends"],
        "seconds": round(beside["used"].seconds, 3),
        "sends_per_s": round(beside["sends"] / beside["used"].seconds, 1),
        **spread("latency", beside["delays"]),
        "latency_p50_ms_alone": spread("x", alone["delays"])["x_p50_ms"],
        "latency_p99_ms_alone": spread("x", alone["delays"])["x_p99_ms"],
        **{
            f"added_delay_{name}_ms": round(1000 * (percentile(beside["delays"], share) - percentile(alone["delays"], share)), 3)
            for name, share in (("p50", 0.5), ("p99", 0.99))
        },
        "pruned_beside": report["deliveries"],
        "prune_beside_per_s": per(report["deliveries"], report["seconds"], 1),
        **cost_keys(beside["used"], beside["sends"]),
    }


def _load(system, tag):
    """500 events a second for ten seconds, each destination well below its pace."""
    order = list(range(_DESTINATIONS))
    random.Random(tag).shuffle(order)
    offer = Offer(system, order, 500, 11, tag)
    offer.wait_until(1)
    begin = system.sample()
    offer.wait_until(11)
    end = system.sample()
    offer.finish()
    until(lambda: offer.acked.keys() <= system.posts().at.keys(), 60, "the POSTs", interval=0.3)
    posts = system.posts()
    delays = [posts.at[id] - at for id, at in offer.acked.items() if at >= begin.at]
    return {"used": end - begin, "delays": delays, "sends": between(posts.times, begin.at, end.at)}
