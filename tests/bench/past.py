"""A past for a database: as many attempts as asked for, spread over half a year, as workers would have left them."""

import contextlib
import threading

DAYS = 180  # how far it goes back
ATTEMPTS_OF_TEN = 12  # attempts of ten deliveries: two were tried twice
BUSY_SHARE = 10  # one destination has every tenth delivery, the others share the rest

_CHUNK = 100_000  # deliveries
_LOADERS = 2

# Without these, writing is quick, and a crash fatal; they are as they were before anything is measured.
_HASTE = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}

_TABLES = ("mms.deliveries", "mms.attempts", "mms.message_statuses")

# Moments ascend with n, as the ids do. Every tenth delivery is the busy destination's.
_ROWS = f"""
    select n, 'evt_' || md5(n::text) as event_id,
           'des_' || to_char(case when n %% {BUSY_SHARE} = 0 then 0 else 1 + n %% (%(destinations)s - 1) end, 'FM00000') as destination_id,
           clock_timestamp() - interval '{DAYS} days' * (1 - n / %(deliveries)s::float8) as at,
           case when n %% 10 in (3, 7) then 2 else 1 end as attempts,
           case when n %% 33 = 0 then 'failed' else 'accepted' end as state
      from generate_series(%(begin)s::int8, %(end)s::int8) n"""

_DELIVERIES = f"""
    insert into mms.deliveries
           (destination_id, id, event_id, connection_id, event, source_topic, source_partition, source_offset, state, attempts,
            budget_spent, next_attempt_at, leased_by, lease_until, slot_at, created_at, finished_at)
    overriding system value
    select r.destination_id, r.n, r.event_id, 'con_bench',
           ('{{"event_id": "' || r.event_id || '", "destination_id": "' || r.destination_id || '", "connection_id": "con_bench",'
            ' "occurred_at": "2026-01-31T12:00:00Z", "payload": {{"message":'
            ' "Your order has left our house and will be with you tomorrow.", "order": ' || r.n || '}}}}')::json,
           'mms.events', r.n %% 12, r.n / 12, r.state, r.attempts, r.attempts, r.at, 'bench-1', r.at + interval '90 seconds',
           r.at, r.at, r.at + r.attempts * interval '1 minute'
      from ({_ROWS}) r"""

# Shorter than Twilio's answers are: what is asked here finds rows by keys, however long they are.
_BODY = (
    "'{\"sid\": \"MM' || md5('m' || r.n) || '\", \"num_segments\": \"1\", \"num_media\": \"1\", \"direction\": \"outbound-api\","
    ' "from": "+15550001111", "to": "+1555\' || r.n || \'", "status": "queued", "error_code": null, "error_message": null,'
    ' "price": null, "api_version": "2010-04-01", "date_created": "Sat, 31 Jan 2026 12:00:00 +0000"}\''
)

_ATTEMPTS = f"""
    insert into mms.attempts
           (destination_id, delivery_id, attempt, result_id, outcome, reason, final, slot_at, started_at, finished_at,
            next_attempt_at, request, http_status, response_headers, response_body, message_sid, message_status, error_code,
            error_message, timing, worker, published_at)
    select r.destination_id, r.n, k, md5(r.n || ' ' || k)::uuid,
           case when k < r.attempts then 'retry' else r.state end,
           case when k < r.attempts then 'RATE_LIMITED' when r.state = 'failed' then 'TO_INVALID' end,
           k = r.attempts, a.at, a.at, a.at + interval '0.1 seconds',
           case when k < r.attempts then a.at + interval '1 minute' end,
           ('{{"url": "https://api.twilio.com/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json",'
            ' "parameters": {{"To": "+1555' || r.n || '", "From": "+15550001111", "Body":'
            ' "Your order has left our house and will be with you tomorrow.", "MediaUrl":'
            ' ["https://demo.twilio.com/owl.png"]}}}}')::json,
           case when k < r.attempts then 429 when r.state = 'failed' then 400 else 201 end,
           '{{"date": "Sat, 31 Jan 2026 12:00:00 GMT", "twilio-request-id": "RQ0123456789abcdef0123456789abcdef"}}',
           {_BODY},
           case when k = r.attempts and r.state = 'accepted' then 'MM' || md5('m' || r.n) end,
           case when k = r.attempts and r.state = 'accepted' then 'queued' end,
           case when k < r.attempts then 20429 when r.state = 'failed' then 21211 end,
           case when k < r.attempts then 'Too Many Requests' when r.state = 'failed' then 'Invalid ''To'' Phone Number' end,
           '{{"lookup": 0, "connect": 0, "tls": 0, "first_byte": 100123, "total": 100200, "new": false}}', 'bench-1',
           a.at + interval '0.2 seconds'
      from ({_ROWS}) r, generate_series(1, r.attempts) k, lateral (select r.at + k * interval '1 minute' as at) a"""

_STATUSES = f"""
    insert into mms.message_statuses
           (destination_id, delivery_id, attempt, message_sid, status, rank, final, advanced, source, parameters, received_at,
            worker, published_at)
    select r.destination_id, r.n, r.attempts, 'MM' || md5('m' || r.n), 'delivered', 6, true, true, 'callback',
           ('{{"MessageSid": "MM' || md5('m' || r.n) || '", "MessageStatus": "delivered", "To": "+1555' || r.n || '"}}')::json,
           r.at + interval '3 minutes', 'bench-1', r.at + interval '3 minutes'
      from ({_ROWS}) r where r.state = 'accepted' and r.n %% %(status_every)s = 0"""

_INDEXES = """
    select i.indexrelid::regclass::text as name, i.indrelid::regclass::text as table, c.conname as constraint,
           coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(i.indexrelid)) as definition
      from pg_index i left join pg_constraint c on c.conindid = i.indexrelid
     where i.indrelid::regclass::text = any(%s)"""


def make(system, attempts, destinations, status_every=4):
    """Writes the past; returns how many (deliveries, attempts) it has. What is not there yet has to be: destinations."""
    deliveries = attempts * 10 // ATTEMPTS_OF_TEN
    with _haste(system):
        indexes = system.query(_INDEXES, list(_TABLES))
        for index in indexes:
            system.query(_drop(index))
        chunks = [(begin, min(begin + _CHUNK, deliveries + 1) - 1) for begin in range(1, deliveries + 1, _CHUNK)]
        parameters = {"destinations": destinations, "deliveries": deliveries, "status_every": status_every}
        _shared(system, [
            [(sql, {**parameters, "begin": begin, "end": end}) for sql in (_DELIVERIES, _ATTEMPTS, _STATUSES)]
            for begin, end in chunks
        ])  # fmt: skip
        _shared(system, [[(_create(index), None)] for index in indexes])
        _shared(system, [[(f"vacuum (analyze) {table}", None)] for table in _TABLES])
    system.query("select setval(pg_get_serial_sequence('mms.deliveries', 'id'), %s)", deliveries)
    system.query("checkpoint")
    return deliveries, system.value("select count(*) from mms.attempts")


def _drop(index):
    if index["constraint"]:
        return f"alter table {index['table']} drop constraint {index['constraint']}"
    return f"drop index {index['name']}"


def _create(index):
    if index["constraint"]:
        return f"alter table {index['table']} add constraint {index['constraint']} {index['definition']}"
    return index["definition"]


@contextlib.contextmanager
def _haste(system):
    """Settings for writing much."""
    for name, value in _HASTE.items():
        system.query(f"alter system set {name} = {value}")
    system.query("select pg_reload_conf()")
    try:
        yield
    finally:
        for name in _HASTE:
            system.query(f"alter system reset {name}")
        system.query("select pg_reload_conf()")


def _shared(system, jobs):
    """Runs jobs, each a list of (sql, parameters), on some connections at a time."""
    left, failures = list(reversed(jobs)), []

    def load():
        with contextlib.closing(system.postgres.connect(system.database)) as connection:
            cursor = connection.cursor()
            cursor.execute("set synchronous_commit = off; set maintenance_work_mem = '1GB'")
            while left and not failures:
                for statement in left.pop():
                    cursor.execute(*statement)

    def guarded():
        try:
            load()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(_LOADERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
