-- The tables of mms-worker. `mms-worker migrate` applies the files of this folder in the order of
-- their numbers, each once and each in one transaction.

create schema if not exists mms;
comment on schema mms is 'Events that become MMS: destinations, the queue of deliveries, and the evidence of every attempt (mms-worker)';

create table mms.destinations (
    id text primary key check (char_length(id) between 1 and 255),
    name text,
    type text not null default 'TWILIO_MMS',
    config jsonb not null default '{}',
    disabled_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table mms.destinations is 'Who to send to, what to say, which media, and with whose Twilio account. Rows may be written by plain SQL; the worker judges a row when it uses it';
comment on column mms.destinations.id is 'What events name as destination_id, 1 to 255 characters';
comment on column mms.destinations.name is 'A name for people';
comment on column mms.destinations.type is 'Kind of destination; this worker serves TWILIO_MMS';
comment on column mms.destinations.config is 'Settings of the destination, as schemas/destination.schema.json has them. Holds the Twilio auth token: grant access with care';
comment on column mms.destinations.disabled_at is 'Since when the destination is disabled; its events wait until this is null again. Null: enabled';
comment on column mms.destinations.created_at is 'When the row was made';
comment on column mms.destinations.updated_at is 'When the row was last changed (kept by a trigger)';

create table mms.pacing (
    destination_id text primary key,
    next_slot_at timestamptz not null default '-infinity',
    due_at timestamptz not null default 'infinity',
    parked_until timestamptz not null default '-infinity',
    parked_reason text,
    trouble integer not null default 0
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
create index pacing_due on mms.pacing (due_at);
comment on table mms.pacing is 'One row for each destination: when it may send next, and when a worker has to look at it. Written by workers, and by a trigger when the destination changes';
comment on column mms.pacing.destination_id is 'The destination';
comment on column mms.pacing.next_slot_at is 'Earliest start of the next send. While a send is under way and its start is not confirmed yet, this is later by the start window; the confirmation moves it to one second after the real start';
comment on column mms.pacing.due_at is 'When a worker has to look at the destination; infinity while nothing is pending (or the destination is disabled)';
comment on column mms.pacing.parked_until is 'After trouble that is the destination''s own (credentials, sender, full queue, wrong config) nothing is sent before this moment';
comment on column mms.pacing.parked_reason is 'Why it was parked; null if the last send had no such trouble';
comment on column mms.pacing.trouble is 'How often in a row the destination''s own trouble was met; each time the pause doubles, up to 10 minutes';

create table mms.deliveries (
    destination_id text not null,
    id bigint generated always as identity,
    event_id text not null,
    connection_id text,
    event json not null,
    traceparent text,
    tracestate text,
    source_topic text not null,
    source_partition integer not null,
    source_offset bigint not null,
    state text not null default 'pending'
        check (state in ('pending', 'sending', 'unknown', 'accepted', 'failed', 'expired')),
    attempts integer not null default 0,
    budget_spent integer not null default 0,
    next_attempt_at timestamptz not null,
    leased_by text,
    lease_until timestamptz,
    slot_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    primary key (destination_id, id),
    unique (destination_id, event_id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
-- A claim reads the head of this index; its cost doesn't grow with what waits behind.
create index deliveries_pending on mms.deliveries (destination_id, next_attempt_at, id)
    where state = 'pending';
create index deliveries_leases on mms.deliveries (lease_until) where state = 'sending';
create index deliveries_unknown on mms.deliveries (destination_id, id) where state = 'unknown';
create index deliveries_event on mms.deliveries (event_id);
comment on table mms.deliveries is 'One row for each event and destination: the queue, and what became of it';
comment on column mms.deliveries.destination_id is 'The destination';
comment on column mms.deliveries.id is 'Number of the delivery; together with destination_id its key';
comment on column mms.deliveries.event_id is 'The producer''s id of the event; unique for a destination, so that a repeated event is one delivery';
comment on column mms.deliveries.connection_id is 'The connection that routed the event here, if the event says so';
comment on column mms.deliveries.event is 'The event, byte for byte as it came from Kafka';
comment on column mms.deliveries.traceparent is 'The record''s W3C trace context header, copied to the results';
comment on column mms.deliveries.tracestate is 'The record''s W3C trace state header, copied to the results';
comment on column mms.deliveries.source_topic is 'Kafka topic that the event came from';
comment on column mms.deliveries.source_partition is 'Its partition';
comment on column mms.deliveries.source_offset is 'Its offset';
comment on column mms.deliveries.state is 'pending: waits for its slot; sending: a worker has it; unknown: it may have been sent, nobody knows; accepted: Twilio took it; failed: given up; expired: waited too long';
comment on column mms.deliveries.attempts is 'Number of the latest attempt';
comment on column mms.deliveries.budget_spent is 'Attempts that count against the retry policy. The destination''s own trouble costs nothing';
comment on column mms.deliveries.next_attempt_at is 'Not attempted before this moment (the retry policy''s pause); slots come on top';
comment on column mms.deliveries.leased_by is 'The worker that has it, while sending; the last one otherwise';
comment on column mms.deliveries.lease_until is 'Until when that worker may have it; past this moment another one takes over';
comment on column mms.deliveries.slot_at is 'The slot that the latest attempt was given';
comment on column mms.deliveries.created_at is 'When the event was taken in';
comment on column mms.deliveries.finished_at is 'When it was accepted, failed or expired';

create table mms.attempts (
    destination_id text not null,
    delivery_id bigint not null,
    attempt integer not null,
    result_id uuid not null,
    outcome text not null
        check (outcome in ('accepted', 'retry', 'failed', 'unknown', 'expired')),
    reason text,
    final boolean not null,
    slot_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz not null,
    next_attempt_at timestamptz,
    request json,
    http_status integer,
    response_headers json,
    response_body text,
    message_sid text,
    message_status text,
    error_code integer,
    error_message text,
    timing json,
    worker text not null,
    published_at timestamptz,
    primary key (destination_id, delivery_id, attempt)
) with (fillfactor = 80, autovacuum_vacuum_cost_delay = 0);
create index attempts_unpublished on mms.attempts (finished_at) where published_at is null;
create index attempts_message on mms.attempts (message_sid) where message_sid is not null;
create index attempts_finished on mms.attempts (destination_id, finished_at);
comment on table mms.attempts is 'The evidence: one row for each POST to Twilio, or refusal to make it. Holds no secret';
comment on column mms.attempts.destination_id is 'The destination';
comment on column mms.attempts.delivery_id is 'The delivery';
comment on column mms.attempts.attempt is 'Number of the attempt, from 1';
comment on column mms.attempts.result_id is 'Id of the result on the status topic; who reads that topic drops repetitions by it';
comment on column mms.attempts.outcome is 'accepted: Twilio took it; retry: will be tried again; failed: given up; unknown: it may have been sent; expired: waited too long, not sent';
comment on column mms.attempts.reason is 'Why it was not accepted, in UPPER_SNAKE';
comment on column mms.attempts.final is 'True if nothing more will happen to the delivery by itself';
comment on column mms.attempts.slot_at is 'The slot that the attempt was given (database clock)';
comment on column mms.attempts.started_at is 'When the POST began (database clock); null if none was made';
comment on column mms.attempts.finished_at is 'When the attempt was over (database clock)';
comment on column mms.attempts.next_attempt_at is 'When it is tried again, if it is';
comment on column mms.attempts.request is 'The request as sent, without secrets: url and parameters by name';
comment on column mms.attempts.http_status is 'HTTP status of the answer; null if none came';
comment on column mms.attempts.response_headers is 'Headers worth keeping, among them Twilio''s request id';
comment on column mms.attempts.response_body is 'The answer''s body, at most 16 KiB, secrets masked';
comment on column mms.attempts.message_sid is 'Twilio''s id of the message';
comment on column mms.attempts.message_status is 'Twilio''s status of the message when it answered, such as queued';
comment on column mms.attempts.error_code is 'Twilio''s error code';
comment on column mms.attempts.error_message is 'What went wrong, in words: Twilio''s message or the worker''s';
comment on column mms.attempts.timing is 'Microseconds from the beginning of the exchange: lookup, connect, tls, first_byte, total; and whether the connection was new';
comment on column mms.attempts.worker is 'The worker that made the attempt';
comment on column mms.attempts.published_at is 'When the result was on the status topic; null until then';

create table mms.rejected_events (
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    result_id uuid not null default gen_random_uuid(),
    event_id text,
    destination_id text,
    connection_id text,
    key bytea,
    bytes bytea,
    reason text not null,
    detail text not null,
    traceparent text,
    tracestate text,
    worker text not null,
    rejected_at timestamptz not null default clock_timestamp(),
    published_at timestamptz,
    primary key (topic, partition, "offset")
);
create index rejected_events_unpublished on mms.rejected_events (rejected_at)
    where published_at is null;
create index rejected_events_event on mms.rejected_events (event_id);
create index rejected_events_rejected on mms.rejected_events (rejected_at);
comment on table mms.rejected_events is 'Events that could not become deliveries, with the reason and their bytes. Each is also on the dead-letter topic';
comment on column mms.rejected_events.topic is 'Kafka topic that the event came from';
comment on column mms.rejected_events.partition is 'Its partition';
comment on column mms.rejected_events."offset" is 'Its offset';
comment on column mms.rejected_events.result_id is 'Id of the result on the status topic';
comment on column mms.rejected_events.event_id is 'The event''s id, if one could be read';
comment on column mms.rejected_events.destination_id is 'The destination it named, if one could be read';
comment on column mms.rejected_events.connection_id is 'The connection it named, if one could be read';
comment on column mms.rejected_events.key is 'The record''s key, as it came';
comment on column mms.rejected_events.bytes is 'The record''s value, as it came; null for a tombstone';
comment on column mms.rejected_events.reason is 'Why, in UPPER_SNAKE';
comment on column mms.rejected_events.detail is 'Why, in words: the field and what was expected';
comment on column mms.rejected_events.traceparent is 'The record''s W3C trace context header';
comment on column mms.rejected_events.tracestate is 'The record''s W3C trace state header';
comment on column mms.rejected_events.worker is 'The worker that rejected it';
comment on column mms.rejected_events.rejected_at is 'When';
comment on column mms.rejected_events.published_at is 'When the result and the dead letter were both in Kafka; null until then';

create function mms.destination_touched() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end
$$;
comment on function mms.destination_touched() is 'Keeps updated_at';
create trigger destination_touched before insert or update on mms.destinations
    for each row execute function mms.destination_touched();

-- A destination that was changed is looked at again at once: a disabled one may flow again, a
-- parked one may have been mended. This happens at commit: a transaction that stays open after
-- changing a row must not hold a lock that workers wait for. The row of pacing is made if there is
-- none, so that an event that comes at the same moment waits for this commit and is not overlooked.
create function mms.destination_changed() returns trigger language plpgsql as $$
begin
    insert into mms.pacing as p (destination_id, due_at)
    values (new.id, clock_timestamp())
        on conflict (destination_id) do update
       set parked_until = '-infinity',
           parked_reason = null,
           trouble = 0,
           due_at = least(p.due_at, greatest(p.next_slot_at, excluded.due_at));
    return null;
end
$$;
comment on function mms.destination_changed() is 'Wakes the pacing of a destination whose row was made or changed';
create constraint trigger destination_changed after insert or update on mms.destinations
    deferrable initially deferred for each row execute function mms.destination_changed();

create view mms.attempt_history as
select d.event_id,
       a.destination_id,
       d.connection_id,
       a.attempt,
       a.outcome,
       a.reason,
       a.final,
       a.slot_at,
       a.started_at,
       a.finished_at,
       a.next_attempt_at,
       a.http_status,
       a.message_sid,
       a.message_status,
       a.error_code,
       a.error_message,
       a.request,
       a.response_headers,
       a.response_body,
       a.timing,
       a.worker,
       a.published_at,
       a.result_id,
       d.state as delivery_state,
       d.created_at as taken_in_at
  from mms.attempts a
  join mms.deliveries d on d.destination_id = a.destination_id and d.id = a.delivery_id;
comment on view mms.attempt_history is 'Everything that was tried, one row for each attempt; ask it by event_id or by destination_id';
comment on column mms.attempt_history.event_id is 'The event';
comment on column mms.attempt_history.destination_id is 'The destination';
comment on column mms.attempt_history.connection_id is 'The connection that routed the event, if it said so';
comment on column mms.attempt_history.attempt is 'Number of the attempt, from 1';
comment on column mms.attempt_history.outcome is 'accepted, retry, failed, unknown or expired';
comment on column mms.attempt_history.reason is 'Why it was not accepted, in UPPER_SNAKE';
comment on column mms.attempt_history.final is 'True if nothing more will happen to the delivery by itself';
comment on column mms.attempt_history.slot_at is 'The slot that the attempt was given';
comment on column mms.attempt_history.started_at is 'When the POST began; null if none was made';
comment on column mms.attempt_history.finished_at is 'When the attempt was over';
comment on column mms.attempt_history.next_attempt_at is 'When it is tried again, if it is';
comment on column mms.attempt_history.http_status is 'HTTP status of the answer';
comment on column mms.attempt_history.message_sid is 'Twilio''s id of the message';
comment on column mms.attempt_history.message_status is 'Twilio''s status of the message when it answered';
comment on column mms.attempt_history.error_code is 'Twilio''s error code';
comment on column mms.attempt_history.error_message is 'What went wrong, in words';
comment on column mms.attempt_history.request is 'The request as sent, without secrets';
comment on column mms.attempt_history.response_headers is 'Headers of the answer worth keeping';
comment on column mms.attempt_history.response_body is 'The answer''s body, at most 16 KiB, secrets masked';
comment on column mms.attempt_history.timing is 'Microseconds from the beginning of the exchange';
comment on column mms.attempt_history.worker is 'The worker that made the attempt';
comment on column mms.attempt_history.published_at is 'When the result was on the status topic';
comment on column mms.attempt_history.result_id is 'Id of the result on the status topic';
comment on column mms.attempt_history.delivery_state is 'State of the delivery now';
comment on column mms.attempt_history.taken_in_at is 'When the event was taken in from Kafka';

create view mms.destination_health as
select p.destination_id,
       d.name,
       case when d.id is null then 'missing'
            when d.disabled_at is not null then 'disabled'
            when p.parked_until > clock_timestamp() then 'parked'
            else 'active' end as condition,
       q.pending,
       q.oldest_pending_at,
       (select count(*) from mms.deliveries u
         where u.destination_id = p.destination_id and u.state = 'unknown') as unknown,
       nullif(p.next_slot_at, '-infinity') as next_slot_at,
       case when p.parked_until > clock_timestamp() then p.parked_until end as parked_until,
       p.parked_reason,
       p.trouble,
       l.outcome as last_outcome,
       l.reason as last_reason,
       l.error_message as last_error_message,
       l.finished_at as last_attempt_at
  from mms.pacing p
  left join mms.destinations d on d.id = p.destination_id
  cross join lateral (
       select count(*) as pending, min(w.created_at) as oldest_pending_at
         from mms.deliveries w
        where w.destination_id = p.destination_id and w.state = 'pending') q
  left join lateral (
       select a.outcome, a.reason, a.error_message, a.finished_at
         from mms.attempts a
        where a.destination_id = p.destination_id
        order by a.finished_at desc
        limit 1) l on true;
comment on view mms.destination_health is 'How each destination is doing: what waits, whether it is parked and why, how its last attempt ended';
comment on column mms.destination_health.destination_id is 'The destination';
comment on column mms.destination_health.name is 'Its name';
comment on column mms.destination_health.condition is 'active, disabled (its events wait), parked (in trouble, tried again at parked_until), missing (its row was deleted; its events wait)';
comment on column mms.destination_health.pending is 'Deliveries that wait';
comment on column mms.destination_health.oldest_pending_at is 'When the oldest of them was taken in';
comment on column mms.destination_health.unknown is 'Deliveries that may have been sent, nobody knows';
comment on column mms.destination_health.next_slot_at is 'Earliest start of the next send';
comment on column mms.destination_health.parked_until is 'Not tried before this moment; null if it is not parked';
comment on column mms.destination_health.parked_reason is 'Why it is or was parked; null after a send without trouble';
comment on column mms.destination_health.trouble is 'How often in a row it was parked';
comment on column mms.destination_health.last_outcome is 'Outcome of its latest attempt';
comment on column mms.destination_health.last_reason is 'Reason of its latest attempt';
comment on column mms.destination_health.last_error_message is 'What went wrong in it, in words';
comment on column mms.destination_health.last_attempt_at is 'When it was over';
