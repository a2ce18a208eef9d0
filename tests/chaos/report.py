"""The figures of a run, for people and for programs."""

import json
from collections import Counter, defaultdict

# Complaints of these kinds are counted by name.
COUNTED = {"lost": "lost", "duplicates": "duplicate", "early": "early", "foreign": "foreign"}
SHOWN = 20  # complaints


def fault_hits(rules):
    """{fault, with what distinguishes it: hits}, from Sim.faults()."""
    hits = Counter()
    for rule in rules:
        words = [rule["fault"]]
        words += [str(rule[name]) for name in ("status", "code", "ms", "bytes") if name in rule]
        words += [name for name in ("accept", "accept_first", "retry_after") if name in rule]
        words += ["GET"] if rule["match"]["method"] == "GET" else []
        hits[" ".join(words)] += rule["hits"]
    return dict(hits)


def resolved(results):
    """What became of sends that were unknown: {outcome: how many}, by the results that followed the first."""
    by_attempt = defaultdict(dict)
    for row in sorted(results, key=lambda row: (row["partition"], row["offset"])):
        if row["kind"] == "attempt":
            key = row["event_id"], row["destination_id"], row["attempt"]
            by_attempt[key].setdefault(row["result_id"], row["outcome"])
    ends = [list(outcomes.values()) for outcomes in by_attempt.values()]
    return dict(Counter(outcomes[-1] for outcomes in ends if outcomes[0] == "unknown"))


def complaints_by_kind(complaints):
    return dict(Counter(complaint.kind for complaint in complaints))


def _smallest(gaps):
    return min((gap["min_gap_ms"] for gap in gaps.values() if gap["min_gap_ms"] is not None), default=None)


def figures(decided, facts, hits, disturbed, workers, seconds, complaints):
    """
    One flat dictionary. facts may be None, when it didn't come to that.
    hits: of fault_hits(); disturbed: Disturber.counts; seconds: {phase: how long it took}
    """
    by_kind = complaints_by_kind(complaints)
    whole = {
        "seed": decided.seed,
        "events": len(decided.events),
        "repeated_events": decided.duplicates,
        "bad_records": len(decided.bad_keys),
        "destinations": len(decided.destinations),
        "events_with_a_shared_body": sum(event.same for event in decided.events),
        "foreign_messages": len(decided.foreign),
        "twilios_clock_ahead_s": round(decided.twilio_ahead, 1),
        "faults": sum(hits.values()),
        "faults_by_kind": hits,
        "workers_started": workers.counts["started"],
        "workers_killed": workers.counts["killed"],
        "workers_stopped": workers.counts["stopped"],
        "workers_stopped_unfinished": workers.counts["stopped unfinished"],
        "frozen_beyond_the_lease": disturbed["freeze"],
        "frozen_for_a_moment": disturbed["halt"],
        "scalings": disturbed["scale"],
        "postgres_restarts": disturbed["postgres-fast"],
        "postgres_crashes": disturbed["postgres-immediate"],
        "kafka_restarts": disturbed["kafka-stop"],
        "kafka_kills": disturbed["kafka-kill"],
        "connections_cut": disturbed["connections cut"],
        "worker_rss_mib": round(max(workers.rss_mib.values(), default=0)),
        **{f"seconds_{phase}": round(took, 1) for phase, took in seconds.items()},
    }
    if facts is not None:
        unknown = resolved(facts.results)
        whole.update(
            posts=facts.posts,
            attempts=len(facts.attempts),
            attempts_by_outcome=dict(Counter(row["outcome"] for row in facts.attempts)),
            deliveries_by_state=dict(Counter(row["state"] for row in facts.deliveries)),
            unknown=sum(unknown.values()),
            unknown_found=unknown.get("accepted", 0),
            unknown_absent=unknown.get("retry", 0) + unknown.get("failed", 0),
            unknown_left=unknown.get("unknown", 0),
            unknown_told_by_callback=sum("callback" in (row["resolution"] or "") for row in facts.attempts),
            messages_by_status=dict(Counter(row["status"] for row in facts.messages)),
            callbacks=len(facts.callbacks),
            callbacks_answered=dict(Counter(str(row["http_status"] or "not at all") for row in facts.callbacks)),
            statuses_by_source=dict(Counter(row["source"] for row in facts.statuses)),
            statuses_come_too_late=sum(not row["advanced"] for row in facts.statuses),
            messages_still_asked_for=len(facts.still_asked_for),
            results=len(facts.results),
            results_repeated=len(facts.results) - len({row["result_id"] for row in facts.results}),
            smallest_gap_ms=_smallest(facts.gaps),
            **{name: by_kind.get(kind, 0) for name, kind in COUNTED.items()},
        )
    whole["complaints"] = by_kind
    return whole


def table(whole):
    """Lines for people."""
    for key, value in whole.items():
        if isinstance(value, dict):
            most_first = sorted(value.items(), key=lambda item: -item[1])
            value = ", ".join(f"{name} {count}" for name, count in most_first if count) or "none"
        yield f"    {key.replace('_', ' '):<28} {value}"


def write(directory, whole, complaints):
    """Everything, for programs; in a file named by the seed."""
    path = directory / f"{whole['seed']}.json"
    directory.mkdir(parents=True, exist_ok=True)
    whole = {**whole, "complaint_texts": [str(complaint) for complaint in complaints]}
    path.write_text(json.dumps(whole, indent=2) + "\n")
    return path


def few(complaints):
    """Some of each kind, as lines."""
    shown = Counter()
    for complaint in complaints:
        shown[complaint.kind] += 1
        if shown[complaint.kind] <= SHOWN:
            yield f"    {complaint}"
    for kind, count in shown.items():
        if count > SHOWN:
            yield f"    … and {count - SHOWN} more of '{kind}'"
