"""What the demo prints when all is over."""

import collections
import json
import statistics
import textwrap

from checks import dead_letter_headers
from facts import FATES_SQL, HEALTH_SQL, HISTORY_SQL, STORIES_SQL
from show import WIDTH, say, section, shorten, table

_FIRST_ROWS = 4  # plain rows of the history that are shown for each destination

_ADVICE_WIDTH = 56  # what the table leaves for it

# Outcomes of attempts, or other kinds of results: which examples to show first.
_TELLING = ("retry", "status", "rejection", "failed", "unknown", "accepted")


def report(facts, scenario):
    _history(facts)
    _gaps(facts, scenario)
    _fates(facts, scenario)
    _results(facts)
    _dead_letters(facts)
    _health(facts)


def _history(facts):
    section("Attempt history (SQL)", HISTORY_SQL + "\n")
    columns = ["event_id", "destination", "#>", "outcome", "reason", "slot_at"]
    columns += ["gap_ms>", "http>", "code>", "wait_s>"]
    by_destination = collections.defaultdict(list)
    for row in facts.history:
        by_destination[row["destination_id"]].append(row)
    rows = []
    for history in by_destination.values():
        rows += _abbreviated(history)
    table(columns, rows)
    say("  gap_ms: since this destination's slot before. #: attempt. wait_s: until it may be tried again.")
    say("  An attempt without http never left the worker, and costs no slot; unless it was accepted: then Twilio's")
    say("  answer was lost, and its status callback named the message.")


def _abbreviated(history):
    """The first rows, and all that are not plain."""
    plain = [row for row in history if (row["outcome"], row["attempt"], row["error_code"]) == ("accepted", 1, None)]
    plain = [row for row in plain if row["http_status"]]
    hidden = {id(row) for row in plain[_FIRST_ROWS:]}
    rows = [_history_row(row) for row in history if id(row) not in hidden]
    if hidden:
        rows.append(f"… and {len(hidden)} more of {history[0]['destination_id']}, accepted at the first attempt")
    return rows


def _history_row(row):
    slot = row["slot_at"] and row["slot_at"].strftime("%H:%M:%S.%f")[:-3]
    gap = _number(row["gap_ms"]) if row["http_status"] or row["outcome"] in ("accepted", "unknown") else None
    names = ("event_id", "destination_id", "attempt", "outcome", "reason")
    return [*(row[name] for name in names), slot, gap, row["http_status"], row["error_code"], _number(row["wait_s"])]


def _number(value):
    """PostgreSQL's numeric as a float."""
    return None if value is None else float(value)


def _gaps(facts, scenario):
    observer = "the simulator saw them arrive" if scenario.simulated else "the evidence has them (started_at)"
    section("Gaps", f"Between the starts of two POSTs for one destination, as {observer}:\n")
    rows = []
    for id, _, _ in scenario.destinations:
        gaps = facts.gaps(id) or [None]
        rows.append([id, len(facts.starts[id]), min(gaps), gaps[0] and statistics.median(gaps)])
    table(["destination", "sends>", "smallest ms>", "median ms>"], rows)


def _fates(facts, scenario):
    section("What became of the messages (SQL)", FATES_SQL + "\n")
    rows = []
    for row in facts.fates:
        advice = textwrap.wrap(row["advice"] or "", _ADVICE_WIDTH) or [""]
        rows.append([row["message_status"], row["messages"], row["error_code"], advice[0]])
        rows += [["", "", "", line] for line in advice[1:]]
    table(["message_status", "messages>", "error_code>", "advice"], rows)
    if not scenario.simulated:
        say("  `sent` may be the last word about an MMS: many carriers say nothing more.")
    say("\n" + STORIES_SQL.replace("%s", f"'{{{','.join(scenario.telling)}}}'") + "\n")
    for row in facts.stories:
        say(f"  {row['event_id']}, attempt {row['attempt']}")
        say(textwrap.fill(row["story"], WIDTH, initial_indent="    ", subsequent_indent="    "))


def _results(facts):
    section("Results on mms.results")
    counts = collections.Counter((result["kind"], result["outcome"], result["final"]) for result in facts.results)
    rows = [[kind, outcome, "yes" if final else "no", n] for (kind, outcome, final), n in sorted(counts.items())]
    table(["kind", "outcome", "final", "results>"], rows)
    examples = {}
    for result in sorted(facts.results, key=lambda result: result["error_code"] is not None):
        examples[result["outcome"] if result["kind"] == "attempt" else result["kind"]] = result
    for name in [each for each in _TELLING if each in examples][:2]:
        say("\n" + json.dumps(examples[name], indent=2, ensure_ascii=False))


def _dead_letters(facts):
    section("Dead letters on mms.dead-letters")
    if not facts.dead_letters:
        say("  none")
    for record in facts.dead_letters:
        headers = dead_letter_headers(record)
        value = "(no value)" if record.value is None else record.value.decode(errors="replace")
        say(f"  {headers.get('mms-reason', ''):<20} from {headers.get('mms-source', '')}")
        say(f"      {shorten(headers.get('mms-detail', ''), 90)}")
        say(f"      {shorten(value, 90)}")


def _health(facts):
    section("Destination health (SQL)", HEALTH_SQL + "\n")
    columns = ["destination_id", "name", "condition", "pending>", "unknown>", "last_outcome", "last_reason"]
    table(columns, [[row[column.rstrip(">")] for column in columns] for row in facts.health])


def totals(facts, scenario, passed):
    """The last line."""
    states = facts.states
    parts = [f"{states.pop(state, 0)} {state}" for state in ("accepted", "failed")]
    parts += [f"{number} {state}" for state, number in sorted(states.items())]
    parts += [f"{len(facts.rejected)} rejected", f"{facts.repeated} duplicate"]
    gap = "none" if facts.smallest_gap is None else f"{facts.smallest_gap:.1f} ms"
    say(
        f"\ntotals: {len(scenario.records)} events produced = {' + '.join(parts)}; "
        f"{len(facts.results)} results published; smallest gap {gap}; {'PASS' if passed else 'FAIL'}"
    )
