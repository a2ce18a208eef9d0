"""Everything that is known after the run, read once: from PostgreSQL, the topics, the simulator and the logs."""

import json
from dataclasses import dataclass

HISTORY_SQL = """\
select event_id, destination_id, attempt, outcome, reason, slot_at, http_status, error_code,
       extract(epoch from next_attempt_at - finished_at) as wait_s,
       1000 * extract(epoch from slot_at - lag(slot_at) over (
           partition by destination_id, started_at is null order by slot_at)) as gap_ms
  from mms.attempt_history
 order by destination_id, slot_at, finished_at"""

FATES_SQL = """\
select message_status, count(*) as messages, error_code, max(advice) as advice
  from mms.attempt_history where outcome = 'accepted' group by 1, 3 order by 2 desc"""

STORIES_SQL = """\
select event_id, attempt, story from mms.attempt_history
 where event_id = any(%s) order by event_id, attempt"""

HEALTH_SQL = """\
select destination_id, name, condition, pending, unknown, last_outcome, last_reason
  from mms.destination_health order by destination_id"""


_STATUSES_SQL = """
select s.*, d.event_id
  from mms.message_statuses s
  join mms.deliveries d on d.destination_id = s.destination_id and d.id = s.delivery_id
 order by s.received_at, s.rank"""


@dataclass
class Facts:
    history: list  # HISTORY_SQL
    fates: list  # FATES_SQL
    stories: list  # STORIES_SQL
    health: list  # HEALTH_SQL
    attempts: list  # mms.attempt_history, all columns
    deliveries: list
    statuses: list  # mms.message_statuses, with event_id
    rejected: list  # mms.rejected_events
    events: list  # records on the event topic
    results: list  # parsed, from the status topic
    dead_letters: list  # records
    starts: dict  # {destination_id: moments of its POSTs in seconds, in order}
    sids: list | None  # of the messages that the simulator has; None without one
    committed: int  # offsets that the workers have committed, summed
    exits: list  # exit statuses of the workers
    logs: str

    @property
    def states(self):
        """{state: number of deliveries}"""
        counts = {}
        for row in self.deliveries:
            counts[row["state"]] = counts.get(row["state"], 0) + 1
        return counts

    @property
    def repeated(self):
        """How many records on the event topic repeat an event that became a delivery; told from the topic alone."""
        ids = {(row["destination_id"], row["event_id"]) for row in self.deliveries}
        keys = [key for key in map(_event_key, self.events) if key in ids]
        return len(keys) - len(set(keys))

    def gaps(self, destination_id):
        """Milliseconds between the starts of its POSTs, in order of time."""
        starts = self.starts.get(destination_id, [])
        return [1000 * (b - a) for a, b in zip(starts, starts[1:])]

    @property
    def smallest_gap(self):
        return min((gap for id in self.starts for gap in self.gaps(id)), default=None)


def _event_key(record):
    try:
        event = json.loads(record.value or b"null")
        return event["destination_id"], event["event_id"]
    except (ValueError, KeyError, TypeError):
        return None


def gather(system, scenario, exits):
    """Reads it all. The workers have ended, so nothing changes any more."""
    attempts = system.query("select * from mms.attempt_history order by started_at, finished_at")
    rejected = system.query('select * from mms.rejected_events order by rejected_at, partition, "offset"')
    return Facts(
        history=system.query(HISTORY_SQL),
        fates=system.query(FATES_SQL),
        stories=system.query(STORIES_SQL, scenario.telling),
        health=system.query(HEALTH_SQL),
        attempts=attempts,
        deliveries=system.query("select destination_id, id, event_id, state from mms.deliveries"),
        statuses=system.query(_STATUSES_SQL),
        rejected=rejected,
        events=system.kafka.consume(system.events_topic),
        results=system.results(),
        dead_letters=system.dead_letters(),
        starts=_starts(system, scenario, attempts),
        sids=[message["sid"] for message in system.sim.messages()] if scenario.simulated else None,
        committed=sum(system.kafka.committed(system.group, system.events_topic).values()),
        exits=exits,
        logs="".join(path.read_text(errors="replace") for path in sorted(system.directory.rglob("*.log"))),
    )


def _starts(system, scenario, attempts):
    """When each destination's POSTs began: as the simulator saw it, or without one as the evidence has it."""
    if scenario.simulated:
        ids = {config["auth"]["account_sid"]: id for id, _, config in scenario.destinations}
        moments = [(ids[post["account"]], post["arrived_at"]) for post in system.sim.posts()]
    else:
        moments = [(row["destination_id"], row["started_at"].timestamp()) for row in attempts if row["started_at"]]
    starts = {id: [] for id, _, _ in scenario.destinations}
    for id, moment in sorted(moments, key=lambda entry: entry[1]):
        starts[id].append(moment)
    return starts
