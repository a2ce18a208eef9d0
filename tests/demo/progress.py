"""Follows a run until nothing is left to do, and shows how far it is."""

import time

from show import REDRAW, Live, bar, say, table_lines

_DESTINATIONS_SQL = """
select t.id, coalesce(q.accepted, 0) as sent, coalesce(q.failed, 0) as failed, coalesce(q.waiting, 0) as waiting,
       coalesce(q.events, 0) as events, s.since_last, s.smallest_gap
  from mms.destinations t
  left join (select destination_id, count(*) as events,
                    count(*) filter (where state = 'accepted') as accepted,
                    count(*) filter (where state in ('failed', 'expired')) as failed,
                    count(*) filter (where state in ('pending', 'sending', 'unknown')) as waiting
               from mms.deliveries group by 1) q on q.destination_id = t.id
  left join (select destination_id, min(1000 * extract(epoch from gap)) as smallest_gap,
                    extract(epoch from clock_timestamp() - max(started_at)) as since_last
               from (select destination_id, started_at,
                            started_at - lag(started_at) over (partition by destination_id order by started_at) as gap
                       from mms.attempts where started_at is not null) a
              group by 1) s on s.destination_id = t.id
 order by t.created_at, t.id"""

_COUNTS_SQL = """
select (select count(*) from mms.deliveries) as taken,
       (select count(*) from mms.rejected_events) as rejected,
       (select count(*) from mms.deliveries where state in ('pending', 'sending', 'unknown')) as waiting,
       (select count(*) from mms.attempts where published_at is not null)
           + (select count(*) from mms.rejected_events where published_at is not null)
           + (select count(*) from mms.message_statuses where published_at is not null) as published,
       (select count(*) from mms.attempts where published_at is null)
           + (select count(*) from mms.rejected_events where published_at is null)
           + (select count(*) from mms.message_statuses where published_at is null and advanced) as unpublished,
       (select count(*) from mms.attempt_history
         where outcome = 'accepted' and not message_status_final) as on_their_way"""

# Messages about which something may still be learnt within so many seconds.
_OPEN_SQL = """
select count(*) from mms.open_messages where poll_at < clock_timestamp() + %s * interval '1 second'"""

# A pause after too many requests passes by itself.
_PARKED_SQL = """
select destination_id, parked_reason, last_error_message from mms.destination_health
 where condition = 'parked' and parked_reason <> 'TOO_MANY_REQUESTS' order by 1"""


def follow(system, scenario, limit):
    """Returns None once all is done, or else a line that says why there is no use in waiting."""
    live = Live()
    begin = time.monotonic()
    while True:
        counts = system.query(_COUNTS_SQL)[0]
        done = _done(counts, scenario)
        trouble = None if done else _trouble(system, time.monotonic() - begin, limit)
        live.draw(_lines(system, scenario, counts, time.monotonic() - begin), last=done or trouble is not None)
        if done or trouble:
            return trouble
        time.sleep(REDRAW)


def follow_up(system, limit):
    """Waits until nothing more is to be learnt about real messages soon. Returns what follow() does."""
    begin = time.monotonic()
    said = None
    while (left := limit - (time.monotonic() - begin)) > 0:
        counts = system.query(_COUNTS_SQL)[0]
        if counts["on_their_way"] != said:
            said = counts["on_their_way"]
            more = f"; asking Twilio for {left:.0f} s at most" if said else ""
            say(f"messages without a final status: {said}{more}")
        for number, worker in enumerate(system.workers):
            if not worker.alive:
                return _ended(number, worker)
        if counts["unpublished"] == 0 and system.value(_OPEN_SQL, left) == 0:
            break
        time.sleep(REDRAW)
    return None


def _ended(number, worker):
    return f"worker {number} has ended with status {worker.returncode}; its log ends:\n{worker.log_tail(5)}"


def _done(counts, scenario):
    taken_in = counts["taken"] + counts["rejected"] + scenario.repeated >= len(scenario.records)
    ended = counts["on_their_way"] == 0 or not scenario.simulated
    return taken_in and ended and counts["waiting"] == 0 and counts["unpublished"] == 0


def _trouble(system, elapsed, limit):
    for number, worker in enumerate(system.workers):
        if not worker.alive:
            return _ended(number, worker)
    parked = system.query(_PARKED_SQL)
    if parked:
        return "{destination_id} is parked: {parked_reason}, {last_error_message}".format(**parked[0])
    if elapsed > limit:
        return f"not done after {limit} s"
    return None


def _lines(system, scenario, counts, elapsed):
    head = (
        f"after {elapsed:4.1f} s  deliveries: {counts['taken']}, waiting: {counts['waiting']}, "
        f"on their way: {counts['on_their_way']}, rejected: {counts['rejected']}, "
        f"results published: {counts['published']}"
    )
    rows = []
    for row in system.query(_DESTINATIONS_SQL):
        since = None if row["since_last"] is None else f"{row['since_last']:.1f} s"
        gap = None if row["smallest_gap"] is None else f"{row['smallest_gap']:.1f} ms"
        progress = bar(row["sent"] + row["failed"], row["events"])
        rows.append([row["id"], row["sent"], row["failed"], row["waiting"], since, gap, progress])
    columns = ["destination", "sent>", "failed>", "waiting>", "since last send>", "smallest gap>", "done"]
    return [head] + table_lines(columns, rows)
