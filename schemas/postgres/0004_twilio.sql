-- All of Twilio: advice for every verdict, opt-outs, SMS instead of MMS, and what became of messages.
-- Nothing here takes longer where there is more history.

set local lock_timeout = '10s';
lock table mms.destinations, mms.deliveries, mms.attempts, mms.pacing in access exclusive mode;

-- Workers that take status callbacks follow the rows that change (accounts and their tokens).
create index destinations_updated on mms.destinations (updated_at);

alter table mms.pacing add column parked_since timestamptz;
comment on column mms.pacing.parked_since is 'When the trouble began that it is parked for; null if there is none';
comment on column mms.pacing.parked_until is 'After trouble that is the destination''s own or its account''s (credentials, sender, full queue, wrong config) nothing is sent before this moment. While one delivery probes whether the trouble is over, the others wait for its lease at most';

alter table mms.deliveries add column as_sms boolean not null default false;
comment on column mms.deliveries.as_sms is 'True once Twilio said that it can''t go there as MMS and the destination has sms_fallback: it is sent as SMS with the media links from then on';

alter table mms.attempts add column advice text;
comment on column mms.attempts.request is 'The request, without secrets: url and parameters by name. As sent; or, if started_at is null, as it would have been';
comment on column mms.attempts.advice is 'What to do about it, in one sentence; null if it was accepted';

create table mms.opt_outs (
    account_sid text not null,
    sender text not null,
    recipient text not null,
    destination_id text not null,
    event_id text not null,
    since timestamptz not null default clock_timestamp(),
    primary key (account_sid, sender, recipient)
);
create index opt_outs_recipient on mms.opt_outs (recipient);
comment on table mms.opt_outs is 'Recipients who opted out from a sender (Twilio''s error 21610). Deliveries for such a pair fail at once, without a request, until the row is deleted';
comment on column mms.opt_outs.account_sid is 'The Twilio account';
comment on column mms.opt_outs.sender is 'The messaging service that sent, or the sender''s number if there was none';
comment on column mms.opt_outs.recipient is 'The recipient''s number';
comment on column mms.opt_outs.destination_id is 'The destination that met it first';
comment on column mms.opt_outs.event_id is 'The event that met it first';
comment on column mms.opt_outs.since is 'When that was';

create table mms.message_statuses (
    destination_id text not null,
    delivery_id bigint not null,
    attempt integer not null,
    message_sid text not null,
    status text not null,
    rank integer not null,
    final boolean not null,
    advanced boolean not null,
    error_code integer,
    error_message text,
    reason text,
    advice text,
    source text not null check (source in ('callback', 'poll')),
    parameters json,
    received_at timestamptz not null default clock_timestamp(),
    worker text not null,
    result_id uuid not null default gen_random_uuid(),
    published_at timestamptz,
    primary key (destination_id, delivery_id, attempt, message_sid, status)
) with (fillfactor = 80, autovacuum_vacuum_cost_delay = 0);
alter table mms.message_statuses alter column destination_id set (n_distinct = 100);
create index message_statuses_message on mms.message_statuses (message_sid);
create index message_statuses_unpublished on mms.message_statuses (received_at)
    where published_at is null and advanced;
comment on table mms.message_statuses is 'What Twilio said later about messages that it took: one row for each status of a message, however often and in which order it was told';
comment on column mms.message_statuses.destination_id is 'The destination';
comment on column mms.message_statuses.delivery_id is 'The delivery';
comment on column mms.message_statuses.attempt is 'The attempt that made the message';
comment on column mms.message_statuses.message_sid is 'Twilio''s id of the message';
comment on column mms.message_statuses.status is 'Twilio''s word for it: queued, sending, sent, delivered, undelivered, failed, …';
comment on column mms.message_statuses.rank is 'Where that stands in a message''s life; a message never goes back to a lower one';
comment on column mms.message_statuses.final is 'True if nothing more is said about the message after this';
comment on column mms.message_statuses.advanced is 'True if the message went on to this status when it was told; false if a later one was known already. Only what is true has a result';
comment on column mms.message_statuses.error_code is 'Twilio''s error code, if it failed';
comment on column mms.message_statuses.error_message is 'Twilio''s words about it';
comment on column mms.message_statuses.reason is 'Why it failed, in UPPER_SNAKE';
comment on column mms.message_statuses.advice is 'What to do about it, in one sentence';
comment on column mms.message_statuses.source is 'callback: Twilio told; poll: it was asked';
comment on column mms.message_statuses.parameters is 'Everything that was said with it';
comment on column mms.message_statuses.received_at is 'When it was stored';
comment on column mms.message_statuses.worker is 'The worker that was told';
comment on column mms.message_statuses.result_id is 'Id of the result on the status topic';
comment on column mms.message_statuses.published_at is 'When the result was on the status topic; null until then';

create table mms.open_messages (
    destination_id text not null,
    delivery_id bigint not null,
    attempt integer not null,
    message_sid text not null,
    opened_at timestamptz not null,
    poll_at timestamptz not null,
    polls integer not null default 0,
    primary key (destination_id, delivery_id, attempt)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
alter table mms.open_messages alter column destination_id set (n_distinct = 100);
create index open_messages_poll on mms.open_messages (poll_at);
create index open_messages_opened on mms.open_messages (opened_at);
comment on table mms.open_messages is 'Messages whose status may change: Twilio is asked about one now and then, until its status is final or a day has passed';
comment on column mms.open_messages.destination_id is 'The destination';
comment on column mms.open_messages.delivery_id is 'The delivery';
comment on column mms.open_messages.attempt is 'The attempt that made the message';
comment on column mms.open_messages.message_sid is 'Twilio''s id of the message';
comment on column mms.open_messages.opened_at is 'When Twilio took it';
comment on column mms.open_messages.poll_at is 'When Twilio is asked next';
comment on column mms.open_messages.polls is 'How often it was asked, or may be held to have been: makes the pauses grow';

-- What was sent in the last hour is followed up as well. Destination by destination, as the index
-- has it: everybody waits meanwhile, and the table may have years in it.
insert into mms.open_messages (destination_id, delivery_id, attempt, message_sid, opened_at, poll_at)
select a.destination_id, a.delivery_id, a.attempt, a.message_sid, a.finished_at, now()
  from mms.paced p
 cross join lateral (
       select t.destination_id, t.delivery_id, t.attempt, t.message_sid, t.finished_at
         from mms.attempts t
        where t.destination_id = p.destination_id and t.outcome = 'accepted'
          and t.message_sid is not null and t.finished_at > now() - interval '1 hour'
       offset 0) a;

-- An attempt in words, from its slot to what became of the message.
create function mms.attempt_story(a mms.attempts) returns text
language sql stable as $$
select concat_ws(' ',
         'Slot ' || to_char(a.slot_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') || ' UTC.',
         case when a.started_at is not null
              then 'Sent ' || case when coalesce(json_array_length(a.request -> 'parameters' -> 'MediaUrl'), 0) = 0
                                   then 'as SMS ' else '' end
                   || 'at ' || to_char(a.started_at at time zone 'UTC', 'HH24:MI:SS.MS')
                   || ' to ' || coalesce(a.request -> 'parameters' ->> 'To', '?') || ' by ' || a.worker || '.'
              when a.reason = 'WORKER_LOST' or a.resolution is not null then null
              else 'Not sent.' end,
         case when a.http_status is not null
              then 'Twilio answered after ' || round(extract(epoch from a.finished_at - a.started_at) * 1000)
                   || ' ms with HTTP ' || a.http_status
                   || coalesce(', error ' || a.error_code, '') || '.' end,
         case when a.outcome = 'accepted'
              then 'Accepted as ' || coalesce(a.message_sid, '?') || coalesce(', ' || a.message_status, '') || '.'
              else upper(left(a.outcome, 1)) || substr(a.outcome, 2) || coalesce(' (' || a.reason || ')', '')
                   || coalesce(': ' || rtrim(a.error_message, '. '), '') || '.' end,
         case when a.outcome = 'retry' and a.next_attempt_at is not null
              then 'Tried again at ' || to_char(a.next_attempt_at at time zone 'UTC', 'HH24:MI:SS') || ' at the earliest.' end,
         case when a.advice is not null then 'Advice: ' || a.advice end,
         case when a.resolution is not null
              then 'Looked into: ' || rtrim(a.resolution, '. ') || '.' end,
         (select 'Later ' || string_agg(
                     s.status || ' at ' || to_char(s.received_at at time zone 'UTC', 'HH24:MI:SS')
                     || coalesce(' (error ' || s.error_code || coalesce(': ' || rtrim(s.error_message, '. '), '') || ')', '')
                     || coalesce(' Advice: ' || rtrim(s.advice, '.'), ''),
                     ', ' order by s.rank, s.received_at) || '.'
            from mms.message_statuses s
           where s.destination_id = a.destination_id and s.delivery_id = a.delivery_id
             and s.attempt = a.attempt))
$$;
comment on function mms.attempt_story is 'An attempt in words, from its slot to what became of the message';

create or replace view mms.attempt_history as
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
       coalesce(s.status, a.message_status) as message_status,
       coalesce(a.error_code, s.error_code) as error_code,
       coalesce(a.error_message, s.error_message) as error_message,
       a.request,
       a.response_headers,
       a.response_body,
       a.timing,
       a.worker,
       a.published_at,
       a.result_id,
       d.state as delivery_state,
       d.created_at as taken_in_at,
       a.resolution,
       a.resolved_at,
       coalesce(a.advice, s.advice) as advice,
       s.received_at as message_status_at,
       coalesce(s.final, false) as message_status_final,
       s.reason as message_status_reason,
       mms.attempt_story(a) as story
  from mms.attempts a
  join mms.deliveries d on d.destination_id = a.destination_id and d.id = a.delivery_id
  left join lateral (
       select m.status, m.error_code, m.error_message, m.advice, m.reason, m.received_at, m.final
         from mms.message_statuses m
        where m.destination_id = a.destination_id and m.delivery_id = a.delivery_id
          and m.attempt = a.attempt
        order by m.rank desc, m.received_at
        limit 1) s on true;
comment on column mms.attempt_history.request is 'The request, without secrets: as sent; or, if started_at is null, as it would have been';
comment on column mms.attempt_history.message_status is 'Twilio''s latest status of the message';
comment on column mms.attempt_history.error_code is 'Twilio''s error code: of its answer, or of what it said later about the message';
comment on column mms.attempt_history.error_message is 'What went wrong, in words: with the attempt, or later with the message';
comment on column mms.attempt_history.advice is 'What to do about it, in one sentence';
comment on column mms.attempt_history.message_status_at is 'When that status was learnt; null if it is that of the answer';
comment on column mms.attempt_history.message_status_final is 'True if nothing more is said about the message';
comment on column mms.attempt_history.message_status_reason is 'Why the message failed later, in UPPER_SNAKE';
comment on column mms.attempt_history.story is 'The attempt in words, from its slot to what became of the message';

create or replace view mms.destination_health as
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
       l.finished_at as last_attempt_at,
       p.parked_since,
       case when p.trouble > 0 and d.disabled_at is null then nullif(p.due_at, 'infinity') end
           as next_probe_at,
       l.advice as last_advice
  from mms.pacing p
  left join mms.destinations d on d.id = p.destination_id
  cross join lateral (
       select count(*) as pending, min(w.created_at) as oldest_pending_at
         from mms.deliveries w
        where w.destination_id = p.destination_id and w.state = 'pending') q
  left join lateral (
       select a.outcome, a.reason, a.error_message, a.advice, a.finished_at
         from mms.attempts a
        where a.destination_id = p.destination_id
        order by a.finished_at desc
        limit 1) l on true;
comment on column mms.destination_health.parked_since is 'When the trouble began; null if there is none';
comment on column mms.destination_health.next_probe_at is 'When the next delivery is tried, to see whether the trouble is over; null if there is none, or nothing waits';
comment on column mms.destination_health.last_advice is 'What to do about its latest attempt, in one sentence';
comment on column mms.destination_health.parked_reason is 'Why it is parked; null after a send without trouble';

-- As before (see 0002), and the trouble's beginning is forgotten with it.
create or replace function mms.destination_changed() returns trigger language plpgsql
set plan_cache_mode = force_custom_plan as $$
declare
    newest tid;
begin
    select p.ctid into newest
      from mms.pacing p
     where p.destination_id = new.id
     order by p.era desc
     limit 1
       for no key update;
    if newest is null then
        insert into mms.pacing (destination_id, due_at) values (new.id, clock_timestamp());
    else
        update mms.pacing p
           set era = greatest(p.era, mms.era()),
               parked_until = '-infinity',
               parked_reason = null,
               parked_since = null,
               trouble = 0,
               due_at = least(p.due_at, greatest(p.next_slot_at, clock_timestamp())),
               pending_from = '-infinity'
         where p.ctid = newest;
    end if;
    return null;
end
$$;
