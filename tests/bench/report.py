"""What a scenario reports: the same keys for all, a JSON file, and a short table with the goals."""

import json

from .figures import ms, per, percentile, slots_used
from .world import OUT

KEYS = """\
scenario workers sends seconds sends_per_s saturated_sends_per_s min_gap_ms early slots_used
late_p50_ms late_p99_ms late_max_ms latency_p50_ms latency_p99_ms latency_max_ms
worker_us_per_send postgres_us_per_send sim_us_per_send kafka_us_per_send worker_rss_mib
cores_used others_cpu_percent
queries_per_send transactions_per_send claims_per_s claim_ms
claim_ms_small claim_ms_large claim_ratio added_delay_p50_ms added_delay_p99_ms
idle_queries_per_s idle_cpu_percent waiting_queries_per_s waiting_cpu_percent
limit_sql_per_s limit_drain_per_s limit_http_per_s limit_kafka_per_s limit_pace_per_s slowest_limit share_of_limit
cpu_model cores memory_gib kernel postgres_version kafka_version""".split()

# scenario: key, what it must be, in words and as a function
GOALS = {
    "*": [("early", "0", lambda value: value == 0)],
    "pace": [("slots_used", ">= 0.99", lambda value: value >= 0.99)],
    "width": [
        ("sends_per_s", ">= 3000", lambda value: value >= 3000),
        ("worker_us_per_send", "<= 150", lambda value: value <= 150),
        ("worker_rss_mib", "<= 64", lambda value: value <= 64),
    ],
    "backlog": [("claim_ratio", "<= 1.2", lambda value: value <= 1.2)],
    "latency": [
        ("latency_p50_ms", "<= 15", lambda value: value <= 15),
        ("latency_p99_ms", "<= 60", lambda value: value <= 60),
    ],
    "history": [
        (f"{question}_warm_p99_ms", "< 10", lambda value: value < 10)
        for question in ("event_story", "event_attempts", "event_view", "destination_attempts", "destination_view")
    ],
    "idle": [
        (f"{state}_{what}", limit, judge)
        for state in ("idle", "waiting")
        for what, limit, judge in (
            ("queries_per_s", "<= 2", lambda value: value <= 2),
            ("cpu_percent", "< 1", lambda value: value < 1),
        )
    ],
}


def pace_keys(gaps):
    """What System.sim.gaps() says, over all phones. The simulator compares nanoseconds."""
    smallest = [gap["min_gap_ms"] for gap in gaps.values() if gap["min_gap_ms"] is not None]
    return {"min_gap_ms": min(smallest, default=None), "early": sum(gap["early"] for gap in gaps.values())}


def spread(name, seconds, shares=(("p50", 0.5), ("p99", 0.99), ("max", 1.0))):
    """{name_p50_ms: …} of a list of durations."""
    return {f"{name}_{label}_ms": ms(percentile(seconds, share)) for label, share in shares}


def lateness(posts, slots, begin=0.0, end=float("inf")):
    """Starts that the simulator saw in [begin, end), against the slots of their attempts."""
    late = [at - slots[event_id] for event_id, at in posts.at.items() if begin <= at < end and event_id in slots]
    return spread("late", late)


def slots_key(posts):
    return {"slots_used": round(slots_used(posts.by_phone.values()), 4)}


def cost_keys(used, sends):
    """From a difference of two samples."""
    claims = used.statements["claim"].calls if "claim" in used.statements else 0
    return {
        "worker_us_per_send": per(used.worker, sends, 1),
        "postgres_us_per_send": per(used.postgres, sends, 1),
        "sim_us_per_send": per(used.sim, sends, 1),
        "kafka_us_per_send": per(used.kafka, sends, 1),
        "cores_used": per(used.ours, used.seconds * 1e6),
        "others_cpu_percent": used.others_percent,
        "queries_per_send": per(used.queries, sends, 3),
        "transactions_per_send": per(used.transactions, sends, 3),
        "claims_per_s": per(claims, used.seconds, 1),
        "claim_ms": per(sum(c.ms for name, c in used.statements.items() if name.startswith("claim")), claims, 3),
        **{
            f"{_SQL}{name}{_US}": per(1000 * count.ms, sends, 1)
            for name, count in sorted(used.statements.items())
            if count.calls
        },
    }


# Server time of each statement, planning and waiting for locks included; shown in one line.
_SQL, _US = "sql_", "_us_per_send"


def complete(scenario, workers, facts, keys):
    """All keys, in order; those of this scenario alone come last."""
    whole = {key: None for key in KEYS}
    whole.update(facts)
    whole.update(keys)
    whole.update(scenario=scenario, workers=workers)
    return whole


def judge(result):
    """[(key, value, goal, 'PASS' or 'MISS')]"""
    goals = GOALS["*"] + GOALS.get(result["scenario"], [])
    return [
        (key, result[key], goal, "PASS" if result[key] is not None and meets(result[key]) else "MISS")
        for key, goal, meets in goals
    ]


def _lines(result, facts):
    """Key and value of all that this scenario has measured, with its goal."""
    judged = {key: f"{verdict}  (goal {goal})" for key, _, goal, verdict in judge(result)}
    for key, value in result.items():
        if value is None or key in facts or key in ("scenario", "workers") or key.startswith(_SQL):
            continue
        yield f"    {key:<32} {_text(value):>12}  {judged.get(key, '')}".rstrip()


def _statements(result):
    """Server time by statement, the dearest first."""
    times = {key[len(_SQL) : -len(_US)]: value for key, value in result.items() if key.startswith(_SQL) and value}
    dearest = sorted(times, key=times.get, reverse=True)
    text = ", ".join(f"{name} {times[name]:g}" for name in dearest if times[name] >= 0.5)
    return f"    server time by statement, us/send: {text}" if text else None


def _text(value):
    return f"{value:,}".replace(",", " ") if isinstance(value, (int, float)) else str(value)


def show(result, facts):
    lines = [*_lines(result, facts), _statements(result)]
    print("\n".join(line for line in lines if line), flush=True)


def write(result):
    path = OUT / f"{result['scenario']}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path
