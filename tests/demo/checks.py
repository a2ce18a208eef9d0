"""Whether the demo kept the program's promises. Each check yields a line for everything that is wrong."""

import collections


def problems(facts, scenario, complete):
    """All that is wrong, in lines; none: the demo has passed. complete: whether everything could be waited for."""
    checks = _ALWAYS + _WHEN_COMPLETE if complete else _ALWAYS
    return [line for check in checks for line in check(facts, scenario)]


def _totals(facts, scenario):
    produced = len(scenario.records)
    if len(facts.events) != produced:
        yield f"{produced} events were produced, but {len(facts.events)} are on the event topic"
    counted = len(facts.deliveries) + len(facts.rejected) + facts.repeated
    if counted != produced:
        yield f"{produced} events were produced, but {counted} are accounted for"
    if facts.repeated != scenario.repeated:
        yield f"{facts.repeated} repeated events, expected {scenario.repeated}"
    if facts.committed != produced:
        yield f"offsets of {facts.committed} events are committed, expected {produced}"


def _histories(facts, scenario):
    """What became of every event is what the scenario says, attempt by attempt."""
    seen = collections.defaultdict(list)
    for row in sorted(facts.attempts, key=lambda row: row["attempt"]):
        seen[row["event_id"]].append((row["outcome"], row["reason"]))
    for event_id, expected in scenario.expected.items():
        if seen[event_id] != expected:
            yield f"event {event_id}: attempts {seen[event_id]}, expected {expected}"
    for event_id in seen.keys() - scenario.expected.keys():
        yield f"event {event_id}: has attempts, but was not expected"
    final = {row["event_id"]: row["outcome"] for row in facts.attempts if row["final"]}
    for row in facts.deliveries:
        if final.get(row["event_id"]) != row["state"]:
            yield f"event {row['event_id']}: is {row['state']}, its final attempt is {final.get(row['event_id'])}"


def _pace(facts, scenario):
    posts = collections.Counter(row["destination_id"] for row in facts.attempts if row["started_at"])
    for id, _, _ in scenario.destinations:
        early = [gap for gap in facts.gaps(id) if gap < 1000]
        if early:
            yield f"{id}: {len(early)} gaps under 1000 ms, the smallest {min(early):.3f} ms"
        if len(facts.starts[id]) != posts[id]:
            yield f"{id}: {len(facts.starts[id])} POSTs were seen, {posts[id]} are in the attempt history"


def _retry_after(facts, _):
    """A Retry-After is never shortened."""
    for row in facts.attempts:
        asked = {name.lower(): value for name, value in (row["response_headers"] or {}).items()}.get("retry-after")
        if asked and row["next_attempt_at"]:
            pause = (row["next_attempt_at"] - row["finished_at"]).total_seconds()
            if pause < float(asked):
                yield f"event {row['event_id']}: tried again after {pause:.3f} s, although Retry-After was {asked} s"


def _once(facts, _):
    """Every accepted delivery is one message, and there is no other message."""
    if facts.sids is None:
        return
    evidence = [row["message_sid"] for row in facts.attempts if row["outcome"] == "accepted"]
    if sorted(evidence) != sorted(facts.sids):
        yield f"{len(facts.sids)} messages exist, the attempt history has {len(evidence)}, and they are not the same"


def _results(facts, scenario):
    on_topic = {}
    for result in facts.results:
        on_topic.setdefault(result["result_id"], result)  # a repetition changes nothing
    wanted = {str(row["result_id"]): f"attempt {row['attempt']} of {row['event_id']}" for row in facts.attempts}
    wanted |= {str(row["result_id"]): f"the rejection of {_source(row)}" for row in facts.rejected}
    advanced = [row for row in facts.statuses if row["advanced"]]
    wanted |= {str(row["result_id"]): f"the status {row['status']} of {row['event_id']}" for row in advanced}
    for result_id in wanted.keys() - on_topic.keys():
        yield f"no result of {wanted[result_id]} on the status topic"
    attempts = {(row["event_id"], row["attempt"]) for row in facts.attempts if row["resolution"]}
    for result_id in on_topic.keys() - wanted.keys():
        result = on_topic[result_id]
        resolved = result["outcome"] == "unknown" and (result["event_id"], result["attempt"]) in attempts
        if not resolved:  # an attempt that was unknown at first has another id by now
            yield f"result {result_id} on the status topic has no evidence"
    finals = collections.Counter(r["event_id"] for r in on_topic.values() if r["kind"] == "attempt" and r["final"])
    for event_id in scenario.expected:
        if finals[event_id] != 1:
            yield f"event {event_id}: {finals[event_id]} final results, expected 1"


# A message goes through these, perhaps not all, and never back. The last ones are final.
_LIFE = (("accepted", "scheduled"), ("queued",), ("sending",), ("sent",), ("delivered", "undelivered", "failed"))


def _stage(status):
    return next((stage for stage, names in enumerate(_LIFE) if status in names), None)


def _fates(facts, scenario):
    """What became of every message is what the scenario says."""
    for row in facts.attempts:
        fate, wanted = (row["message_status"], row["error_code"]), scenario.fates.get(row["event_id"])
        if row["outcome"] == "accepted" and wanted and fate != wanted:
            yield f"event {row['event_id']}: its message is {fate}, expected {wanted}"


def _status_results(facts, _):
    """Each status is on the topic once, behind the result of its attempt, and none goes back."""
    repeated = collections.Counter(result["result_id"] for result in facts.results if result["kind"] == "status")
    for result_id, count in repeated.items():
        if count > 1:
            yield f"the status result {result_id} is on the status topic {count} times"
    stages, seen = {}, set()
    for result in facts.results:  # those of one event are in one partition
        if result["result_id"] in seen:
            continue
        seen.add(result["result_id"])
        sid = result["message_sid"]
        if result["kind"] == "attempt" and result["outcome"] == "accepted":
            stages[sid] = -1
        elif result["kind"] == "status":
            stage = _stage(result["message_status"])
            if sid not in stages:
                yield f"event {result['event_id']}: {result['message_status']} comes before the result of its attempt"
            elif stage is None or stage <= stages[sid]:
                yield f"event {result['event_id']}: {result['message_status']} goes back"
            stages[sid] = max(-1 if stage is None else stage, stages.get(sid, -1))
    told = {row["message_sid"]: row["status"] for row in facts.statuses if row["final"] and row["advanced"]}
    for row in facts.attempts:
        if row["message_status_final"] and told.get(row["message_sid"]) != row["message_status"]:
            yield f"event {row['event_id']}: no final result about its message"


def dead_letter_headers(record):
    return {name: (value or b"").decode(errors="replace") for name, value in record.headers}


def _source(row):
    """Where a rejected event came from, as the header mms-source has it."""
    return f"{row['topic']}/{row['partition']}/{row['offset']}"


def _dead_letters(facts, scenario):
    letters = {dead_letter_headers(record).get("mms-source"): record for record in facts.dead_letters}
    events = {f"{record.topic}/{record.partition}/{record.offset}": record for record in facts.events}
    for row in facts.rejected:
        letter, event = letters.get(_source(row)), events.get(_source(row))
        if letter is None:
            yield f"the rejected event {_source(row)} is not in the dead letters"
        elif event is None or (letter.key, letter.value) != (event.key, event.value):
            yield f"the dead letter of {_source(row)} is not what was produced"
    reasons = collections.Counter(dead_letter_headers(record).get("mms-reason") for record in letters.values())
    if reasons != scenario.rejected:
        yield f"dead letters by reason: {dict(reasons)}, expected {dict(scenario.rejected)}"


def _secrets(facts, scenario):
    places = {
        "the workers' and servers' logs": facts.logs,
        "the attempt history": repr(facts.attempts),
        "the results": repr(facts.results),
        "the dead letters": repr(facts.dead_letters),
    }
    for place, text in places.items():
        if any(secret in text for secret in scenario.secrets):
            yield f"an auth token is in {place}"


def _workers(facts, _):
    for number, status in enumerate(facts.exits):
        if status != 0:
            yield f"worker {number} ended with status {status}, expected 0"


_ALWAYS = (_pace, _retry_after, _once, _secrets, _workers)
_WHEN_COMPLETE = (_totals, _histories, _fates, _results, _status_results, _dead_letters)
