"""What must be true in the end. Pure functions on lists of dicts, from three sources: simulator, tables, topics.

expected     [{event_id, destination_id, to, body}]: what was produced (good events, each once)
records      [{partition, offset, key, value}]: the event topic as it is; bad_keys: keys of those that are no events
deliveries   [{destination_id, id, event_id, state, attempts}]
attempts     [{destination_id, delivery_id, event_id, attempt, result_id, outcome, final, message_sid, message_status,
               published}]
statuses     [{destination_id, delivery_id, event_id, attempt, message_sid, status, advanced, result_id, published}]
rejected     [{topic, partition, offset, result_id, published}]
messages     [{sid, to, body, status}] at Twilio; foreign: SIDs of those that another system sent
gaps         {to: {count, min_gap_ms, early}}: between the starts of POSTs
results      [{partition, offset, key, result_id, kind, event_id, destination_id, attempt, outcome, final, message_sid,
               message_status}]
dead_letters [{source, key, value}]
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

FINAL = {"accepted", "failed"}
# What an attempt that is not its delivery's last has come to: it surely sent nothing.
NOT_SENT = {"retry"}
# What a delivery's state says about its latest attempt.
OUTCOME_OF_STATE = {"accepted": "accepted", "failed": "failed", "unknown": "unknown", "expired": "expired"}
RSS_LIMIT_MIB = 300


@dataclass(frozen=True)
class Complaint:
    kind: str
    text: str

    def __str__(self):
        return f"{self.kind}: {self.text}"


def _key(row):
    return row["event_id"], row["destination_id"]


# ---- 1: every event has one delivery with a final state, or is rejected ----


def check_deliveries(expected, deliveries):
    complaints = []
    found = Counter(_key(row) for row in deliveries)
    wanted = {_key(row) for row in expected}
    for row in expected:
        if _key(row) not in found:
            complaints.append(Complaint("lost", f"event {row['event_id']} of {row['destination_id']} has no delivery"))
    for key, count in found.items():
        if count > 1:
            complaints.append(Complaint("duplicate", f"event {key[0]} has {count} deliveries for {key[1]}"))
        if key not in wanted:
            complaints.append(Complaint("stray", f"a delivery for event {key[0]} of {key[1]}, which nobody produced"))
    for row in deliveries:
        if row["state"] not in FINAL:
            complaints.append(Complaint("lost", f"event {row['event_id']} has ended as {row['state']}"))
    return complaints


def check_rejected(records, bad_keys, rejected):
    """Bad records, and no others, are rejected events."""
    bad = {(row["partition"], row["offset"]): row["key"] for row in records if row["key"] in bad_keys}
    found = {(row["partition"], row["offset"]) for row in rejected}
    complaints = [
        Complaint("lost", f"the bad record {key} at {place} is no rejected event")
        for place, key in bad.items()
        if place not in found
    ]
    complaints += [Complaint("stray", f"the record at {place} was rejected") for place in found if place not in bad]
    missing = bad_keys - set(bad.values())
    complaints += [Complaint("lost", f"the bad record {key} is not in the topic") for key in sorted(missing)]
    return complaints


def check_topic(expected, records):
    """That the events are in Kafka at all: otherwise whatever follows is not the worker's fault."""
    there = {row["key"] for row in records}
    return [
        Complaint("not produced", f"event {row['event_id']} is not in the event topic")
        for row in expected
        if row["event_id"] not in there
    ]


# ---- 2: every accepted one is at Twilio once, every failed one not at all ----


def check_messages(expected, deliveries, messages, foreign):
    """By body and recipient; of events that share both, by their number. An unknown one may be there or not."""
    state = {_key(row): row["state"] for row in deliveries}
    groups = defaultdict(list)
    for row in expected:
        groups[row["to"], row["body"]].append(row)
    ours = Counter((row["to"], row["body"]) for row in messages if row["sid"] not in foreign)
    complaints = []
    for (to, body), rows in groups.items():
        states = Counter(state.get(_key(row)) for row in rows)
        count = ours[to, body]
        who = ", ".join(row['event_id'] for row in rows)
        who = f"{who} ({dict(states)}): {count} messages at Twilio, {to} {body!r}"
        if count < states["accepted"]:
            complaints += [Complaint("lost", who)] * (states["accepted"] - count)
        if count > states["accepted"] + states["unknown"]:
            complaints += [Complaint("duplicate", who)] * (count - states["accepted"] - states["unknown"])
    strays = [group for group in ours if group not in groups]
    return complaints + [Complaint("stray", f"a message that nobody asked for: {to} {body!r}") for to, body in strays]


def check_sids(expected, attempts, messages, foreign):
    """Each accepted attempt has a message of its own at Twilio, ours, with its recipient and body."""
    wanted = {_key(row): row for row in expected}
    there = {row["sid"]: row for row in messages}
    owners = {}
    complaints = []
    for row in attempts:
        sid = row["message_sid"]
        who = f"attempt {row['attempt']} of {row['event_id']}"
        if row["outcome"] != "accepted":
            if sid is not None:
                complaints.append(Complaint("sid", f"{who} is {row['outcome']} and has the message {sid}"))
            continue
        message = there.get(sid)
        if sid in foreign:
            complaints.append(Complaint("foreign", f"{who} took another system's message {sid} for its own"))
        elif message is None:
            complaints.append(Complaint("sid", f"{who} was accepted as {sid}, which Twilio doesn't have"))
        elif _key(row) in wanted and any(message[name] != wanted[_key(row)][name] for name in ("to", "body")):
            complaints.append(Complaint("sid", f"{who} has {sid}, which is for {message['to']}: {message['body']!r}"))
        if sid in owners:
            complaints.append(Complaint("sid", f"{who} and {owners[sid]} have the same message {sid}"))
        owners[sid] = who
    return complaints


# ---- 3: never early ----


def check_gaps(gaps):
    return [
        Complaint("early", f"{gap['early']} sends to {to} too soon after the one before, worst: {gap['min_gap_ms']} ms")
        for to, gap in sorted(gaps.items())
        if gap["early"]
    ]


# ---- 4: the status topic has every result, in order ----


def _first_occurrences(results):
    """{(event_id, destination_id): results without repetitions, in order}, and what is wrong with the repetitions."""
    by_event = defaultdict(dict)
    complaints = []
    for row in sorted(results, key=lambda row: (row["partition"], row["offset"])):
        first = by_event[_key(row)].setdefault(row["result_id"], row)
        for name in ("attempt", "outcome", "final", "message_sid", "kind", "partition"):
            if row[name] != first[name]:
                both = f"{name} {first[name]!r} and {row[name]!r}"
                complaints.append(Complaint("result", f"{row['event_id']}: {row['result_id']} came with {both}"))
        if row["key"] != row["event_id"]:
            complaints.append(Complaint("result", f"{row['event_id']}: {row['result_id']} has the key {row['key']!r}"))
    return {key: list(found.values()) for key, found in by_event.items()}, complaints


def _show(results):
    return ", ".join(f"{row['attempt']} {row['outcome']}{' (final)' if row['final'] else ''}" for row in results)


def _check_order(key, results):
    """By attempt; of one attempt, first that it is unknown and then what is known after all. One is final, the last."""
    complaints = []
    for before, after in zip(results, results[1:]):
        in_order = before["attempt"] < after["attempt"]
        resolved = before["attempt"] == after["attempt"] and before["outcome"] == "unknown" and not before["final"]
        if not in_order and not resolved:
            complaints.append(Complaint("order", f"results of {key[0]}: {_show(results)}"))
            break
    final = [row for row in results if row["final"]]
    if len(final) != 1:
        complaints.append(Complaint("final", f"{len(final)} final results of {key[0]}: {_show(results)}"))
    return complaints


def check_results(attempts, results):
    found, complaints = _first_occurrences([row for row in results if row["kind"] == "attempt"])
    by_event = defaultdict(list)
    for row in attempts:
        by_event[_key(row)].append(row)
    for key, rows in by_event.items():
        published = {row["result_id"]: row for row in found.get(key, [])}
        for row in rows:
            result = published.pop(row["result_id"], None)
            who = f"attempt {row['attempt']} of {key[0]} ({row['outcome']})"
            if result is None:
                complaints.append(Complaint("result missing", f"{who}: {row['result_id']} is not in the status topic"))
                continue
            for name in ("attempt", "outcome", "final", "message_sid"):
                if row[name] != result[name]:
                    both = f"{name} {result[name]!r}, not {row[name]!r}"
                    complaints.append(Complaint("result", f"{who}: its result has {both}"))
        numbers = {row["attempt"] for row in rows}
        for result in published.values():  # what was known before
            if result["attempt"] not in numbers or result["outcome"] != "unknown" or result["final"]:
                stranger = f"{result['result_id']} ({_show([result])})"
                complaints.append(Complaint("result", f"{key[0]}: {stranger} is of no attempt"))
    for key, rows in found.items():
        if key not in by_event:
            complaints.append(Complaint("result", f"{key[0]}: {_show(rows)}, and no such attempt"))
        complaints += _check_order(key, rows)
    return complaints


def check_rejections(records, rejected, results, dead_letters):
    """Each rejected event has a result and a dead letter with its bytes."""
    published = {row["result_id"]: row for row in results if row["kind"] == "rejection"}
    letters = {row["source"]: row for row in dead_letters}
    bytes_at = {(row["partition"], row["offset"]): row["value"] for row in records}
    complaints = []
    for row in rejected:
        source = f"{row['topic']}/{row['partition']}/{row['offset']}"
        result = published.pop(row["result_id"], None)
        if result is None or (result["outcome"], result["final"]) != ("rejected", True):
            complaints.append(Complaint("result missing", f"of the rejected event at {source}: {result}"))
        letter = letters.pop(source, None)
        if letter is None or letter["value"] != bytes_at.get((row["partition"], row["offset"])):
            complaints.append(Complaint("dead letter", f"of the rejected event at {source}: {letter}"))
    complaints += [Complaint("dead letter", f"{source} was not rejected") for source in letters]
    complaints += [Complaint("result", f"a rejection of nothing: {row}") for row in published.values()]
    return complaints


# ---- 5: deliveries and attempts agree ----


def check_attempts(deliveries, attempts):
    by_delivery = defaultdict(list)
    for row in attempts:
        by_delivery[row["destination_id"], row["delivery_id"]].append(row)
    complaints = []
    for row in deliveries:
        mine = sorted(by_delivery.pop((row["destination_id"], row["id"]), []), key=lambda attempt: attempt["attempt"])
        shown = f"{row['event_id']} is {row['state']} after {row['attempts']} attempts: {_show(mine)}"
        if [attempt["attempt"] for attempt in mine] != list(range(1, row["attempts"] + 1)):
            complaints.append(Complaint("attempts", f"not numbered 1 to n: {shown}"))
        elif any(attempt["outcome"] not in NOT_SENT or attempt["final"] for attempt in mine[:-1]):
            complaints.append(Complaint("attempts", f"tried again after it may have been sent: {shown}"))
        elif mine and row["state"] in OUTCOME_OF_STATE and mine[-1]["outcome"] != OUTCOME_OF_STATE[row["state"]]:
            complaints.append(Complaint("attempts", f"the latest doesn't fit: {shown}"))
        elif row["state"] in FINAL and not (mine and mine[-1]["final"]):
            complaints.append(Complaint("attempts", f"the latest is not final: {shown}"))
    complaints += [Complaint("attempts", f"of delivery {key}, which there is not") for key in by_delivery]
    return complaints


# ---- 6, 7: everything is published and committed ----


def check_published(attempts, rejected, statuses=()):
    left = [f"attempt {row['attempt']} of {row['event_id']}" for row in attempts if not row["published"]]
    told = [row for row in statuses if row["advanced"] and not row["published"]]
    left += [f"{row['status']} of attempt {row['attempt']} of {row['event_id']}" for row in told]
    left += [f"rejected event {row}" for row in rejected if not row["published"]]
    return [Complaint("unpublished", text) for text in left]


def check_offsets(committed, ends):
    return [
        Complaint("offsets", f"partition {partition} is committed to {committed.get(partition, 0)} of {end}")
        for partition, end in sorted(ends.items())
        if committed.get(partition, 0) != end
    ]


# ---- 8: what became of the messages ----

# A message goes through these, perhaps not all, and never back. The last ones are final.
STAGES = {"queued": 0, "sending": 1, "sent": 2, "delivered": 3, "undelivered": 3, "failed": 3}


def check_fates(attempts, messages):
    """What is known of every accepted attempt is what has become of its message."""
    there = {row["sid"]: row["status"] for row in messages}
    return [
        Complaint(
            "fate",
            f"attempt {row['attempt']} of {row['event_id']}, {row['message_sid']}: {row['message_status']}, at Twilio"
            f" {there[row['message_sid']]}",
        )
        for row in attempts
        if row["outcome"] == "accepted"
        and row["message_sid"] in there
        and row["message_status"] != there[row["message_sid"]]
    ]


def check_statuses(statuses, results):
    """Every status that a message has gone on to is on the status topic, and no other."""
    published = {row["result_id"]: row for row in results if row["kind"] == "status"}
    names = ("event_id", "destination_id", "attempt", "message_sid")
    complaints = []
    for row in [row for row in statuses if row["advanced"]]:
        result = published.pop(row["result_id"], None)
        who = f"{row['status']} of {row['message_sid']}, attempt {row['attempt']} of {row['event_id']}"
        if result is None:
            complaints.append(Complaint("result missing", f"{who}: {row['result_id']} is not in the status topic"))
        elif row["status"] != result["message_status"] or any(row[name] != result[name] for name in names):
            complaints.append(Complaint("result", f"{who}: its result is {result}"))
    return complaints + [Complaint("result", f"a status of nothing: {row}") for row in published.values()]


def check_ways(results):
    """By first occurrences: a message's statuses come after it was accepted, and none goes back."""
    complaints = []
    seen, accepted, stages = set(), set(), {}
    for row in sorted(results, key=lambda row: (row["partition"], row["offset"])):
        if row["result_id"] in seen or row["kind"] not in ("attempt", "status"):
            continue
        seen.add(row["result_id"])
        attempt = (*_key(row), row["attempt"])
        if row["kind"] == "attempt":
            if row["outcome"] == "accepted":
                accepted.add(attempt)
            continue
        who = f"{row['message_status']} of {row['message_sid']}, attempt {row['attempt']} of {row['event_id']}"
        stage = STAGES.get(row["message_status"], -1)
        if attempt not in accepted:
            complaints.append(Complaint("order", f"{who}: before the attempt was accepted"))
        if stage <= stages.get(row["message_sid"], -1):
            complaints.append(Complaint("back", f"{who}: it had gone on before"))
        stages[row["message_sid"]] = max(stage, stages.get(row["message_sid"], -1))
    return complaints


def check_owners(statuses):
    """A message is one attempt's."""
    owners = defaultdict(set)
    for row in statuses:
        owners[row["message_sid"]].add(f"attempt {row['attempt']} of {row['event_id']} ({row['destination_id']})")
    shared = {sid: sorted(who) for sid, who in owners.items() if len(who) > 1}
    return [Complaint("shared", f"statuses of {sid} belong to {' and '.join(who)}") for sid, who in shared.items()]


def check_asked(still_asked_for):
    return [
        Complaint("asked", f"{row['message_sid']} of {row['destination_id']}, after {row['polls']} polls")
        for row in still_asked_for
    ]


# ---- 9, 10: the workers ----


def check_memory(rss_mib, limit=RSS_LIMIT_MIB):
    """rss_mib: {worker: the most it ever had}"""
    above = {name: rss for name, rss in rss_mib.items() if rss > limit}
    return [Complaint("memory", f"{name} had {rss:.0f} MiB, more than {limit}") for name, rss in above.items()]


def check_overlooked(overlooked):
    return [Complaint("overlooked", f"nobody would look at {row}") for row in overlooked]


def check_secrets(shown):
    """shown: {where: how often the auth token was found there}"""
    seen = {where: count for where, count in shown.items() if count}
    return [Complaint("secret", f"the auth token was found in {where} ({count})") for where, count in seen.items()]


def check_all(facts):
    """Every check, on a facts.Facts (or anything with its fields)."""
    f = facts
    return (
        check_topic(f.expected, f.records)
        + check_deliveries(f.expected, f.deliveries)
        + check_rejected(f.records, f.bad_keys, f.rejected)
        + check_messages(f.expected, f.deliveries, f.messages, f.foreign)
        + check_sids(f.expected, f.attempts, f.messages, f.foreign)
        + check_gaps(f.gaps)
        + check_results(f.attempts, f.results)
        + check_rejections(f.records, f.rejected, f.results, f.dead_letters)
        + check_attempts(f.deliveries, f.attempts)
        + check_published(f.attempts, f.rejected, f.statuses)
        + check_fates(f.attempts, f.messages)
        + check_statuses(f.statuses, f.results)
        + check_ways(f.results)
        + check_owners(f.statuses)
        + check_asked(f.still_asked_for)
        + check_offsets(f.committed, f.ends)
        + check_overlooked(f.overlooked)
        + check_secrets(f.secrets)
    )
