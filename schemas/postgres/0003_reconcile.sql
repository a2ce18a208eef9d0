-- Never lost, never twice: what became of attempts whose fate is unknown is asked at Twilio.

set local lock_timeout = '10s';
lock table mms.deliveries, mms.attempts in access exclusive mode;

alter table mms.deliveries
    add column claim uuid,
    add column config_of timestamptz,
    add column lookup_at timestamptz not null default '-infinity',
    add column lookup_lease timestamptz,
    add column lookups integer not null default 0;
comment on column mms.deliveries.claim is 'The claim that gave it its latest attempt. A worker that never got a claim''s answer undoes it by this';
comment on column mms.deliveries.config_of is 'updated_at of the destination''s row as the latest attempt used it';
comment on column mms.deliveries.lookup_at is 'While unknown: when Twilio is asked (again) what became of it. Infinity: it is left to a person';
comment on column mms.deliveries.lookup_lease is 'While a worker asks: until when nobody else does';
comment on column mms.deliveries.lookups is 'How often Twilio was asked about attempts of it';

-- What version 2 left unknown is looked up, unless it is so old that Twilio, or a person, may have
-- dealt with it in another way since.
update mms.deliveries d
   set lookup_at = 'infinity'
  from mms.attempts a
 where d.state = 'unknown' and a.destination_id = d.destination_id and a.delivery_id = d.id
   and a.attempt = d.attempts and a.finished_at < now() - interval '1 day';
create index deliveries_lookup on mms.deliveries (lookup_at) where state = 'unknown';

alter table mms.attempts
    add column resolution text,
    add column resolved_at timestamptz;
comment on column mms.attempts.resolution is 'In words: how an attempt that was unknown came to its outcome, or why it could not be told. Null for all others';
comment on column mms.attempts.resolved_at is 'When that was (database clock)';
comment on column mms.attempts.final is 'True if nothing more will happen to the delivery by itself. An unknown that is final is left to a person';
comment on column mms.attempts.outcome is 'accepted: Twilio took it; retry: will be tried again; failed: given up; unknown: it may have been sent, Twilio is asked; expired: waited too long, not sent';
comment on column mms.attempts.result_id is 'Id of the latest result on the status topic; who reads that topic drops repetitions by it. An unknown attempt that is resolved gets another';

-- One message at Twilio belongs to one attempt. This is what keeps two equal messages apart: whoever
-- comes second finds the message taken, and asks again.
drop index mms.attempts_message;
create unique index attempts_message on mms.attempts (message_sid) where message_sid is not null;

-- The outbox, in the order in which outcomes came to be.
drop index mms.attempts_unpublished;
create index attempts_unpublished on mms.attempts (coalesce(resolved_at, finished_at))
    where published_at is null;

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
       d.created_at as taken_in_at,
       a.resolution,
       a.resolved_at
  from mms.attempts a
  join mms.deliveries d on d.destination_id = a.destination_id and d.id = a.delivery_id;
comment on column mms.attempt_history.resolution is 'How an attempt that was unknown came to its outcome, or why it could not be told';
comment on column mms.attempt_history.resolved_at is 'When that was';
comment on column mms.destination_health.unknown is 'Deliveries that may have been sent; Twilio is asked about them, or a person has to decide';
