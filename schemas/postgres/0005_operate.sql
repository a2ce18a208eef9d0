-- Replays: an event's deliveries beside the first one.
-- The unique index is made anew: 10 million deliveries take it half a minute, and the workers wait.

set local lock_timeout = '10s';
lock table mms.destinations, mms.deliveries, mms.attempts, mms.pacing in access exclusive mode;

alter table mms.deliveries add column replay integer not null default 0 check (replay >= 0);
comment on column mms.deliveries.replay is '0: the event as it came from Kafka. 1, 2, …: replays of it, asked for by an operator; each is a delivery of its own, with attempts and results of its own';
comment on column mms.deliveries.event_id is 'The producer''s id of the event; unique for a destination (but for replays), so that a repeated event is one delivery';

-- Serves who asks for an event, who must not take it in twice, and two who replay it at a time.
alter table mms.deliveries
    drop constraint deliveries_event_id_destination_id_key,
    add unique (event_id, destination_id, replay);

alter table mms.rejected_events add column replayed_at timestamptz;
comment on column mms.rejected_events.replayed_at is 'When an operator put its bytes on the topic again; null: never';

-- The history of a destination, newest first, without reading all of it.
--
-- Of an inner join PostgreSQL thinks that hardly anything comes out (it takes destination and delivery for
-- independent), so that it reads a destination's whole history before it sorts and cuts: a second where there
-- are 10 million attempts. Of a left join it knows that each attempt comes out, and follows the index of
-- moments. There is no attempt without its delivery; who asks by event_id gets the inner join as before.

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
       mms.attempt_story(a) as story,
       a.delivery_id,
       d.replay
  from mms.attempts a
  left join mms.deliveries d on d.destination_id = a.destination_id and d.id = a.delivery_id
  left join lateral (
       select m.status, m.error_code, m.error_message, m.advice, m.reason, m.received_at, m.final
         from mms.message_statuses m
        where m.destination_id = a.destination_id and m.delivery_id = a.delivery_id
          and m.attempt = a.attempt
        order by m.rank desc, m.received_at
        limit 1) s on true;
comment on column mms.attempt_history.delivery_id is 'The series of attempts: the event''s own, or a replay''s';
comment on column mms.attempt_history.replay is '0: the event as it came from Kafka; 1, 2, …: replays of it';
