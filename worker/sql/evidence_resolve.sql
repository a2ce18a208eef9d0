-- Stores what was found out about attempts that were unknown, and moves their deliveries on, if they
-- are as they were when it was asked.
-- $1 destination_id, $2 delivery_id, $3 attempt, $4 lookup_lease, $5 result_id, $6 outcome,
-- $7 reason, $8 state, $9 final, $10 next_attempt_at, $11 resolved_at, $12 message_sid,
-- $13 message_status, $14 error_message, $15 resolution, $16 advice (arrays); $17 how long after it was
-- found a message's status is asked for, 0: never (microseconds)
-- Callbacks may have said all there is to say about a message before it was found: it isn't asked for.
-- Returns what evidence_attempts.sql does. A result also waits behind the one that said unknown.
with input as materialized (
    select i.*
      from unnest($1::text[], $2::int8[], $3::int4[], $4::timestamptz[], $5::uuid[], $6::text[],
                  $7::text[], $8::text[], $9::int4[], $10::timestamptz[], $11::timestamptz[],
                  $12::text[], $13::text[], $14::text[], $15::text[],
                  $16::text[])
           as i(destination_id, delivery_id, attempt, lookup_lease, result_id, outcome, reason,
                state, final, next_attempt_at, resolved_at, message_sid, message_status,
                error_message, resolution, advice)
), moved as (
    update mms.deliveries d
       set state = i.state,
           next_attempt_at = coalesce(i.next_attempt_at, d.next_attempt_at),
           finished_at = case when i.final <> 0 then i.resolved_at end,
           lookup_at = 'infinity',
           lookup_lease = null
      from input i
     where d.destination_id = i.destination_id and d.id = i.delivery_id
       and d.attempts = i.attempt and d.lookup_lease = i.lookup_lease
       and d.state is not distinct from 'unknown'
    returning i.*
), opened as (
    insert into mms.open_messages
           (destination_id, delivery_id, attempt, message_sid, opened_at, poll_at)
    select m.destination_id, m.delivery_id, m.attempt, m.message_sid, m.resolved_at,
           m.resolved_at + $17::int8 * interval '1 microsecond'
      from moved m
     where m.outcome = 'accepted' and $17::int8 > 0
       and not exists (select 1
                         from mms.message_statuses s
                        where s.final and s.destination_id = m.destination_id
                          and s.delivery_id = m.delivery_id and s.attempt = m.attempt)
        on conflict (destination_id, delivery_id, attempt) do nothing
)
update mms.attempts a
   set result_id = m.result_id, outcome = m.outcome, reason = m.reason, final = m.final <> 0,
       next_attempt_at = m.next_attempt_at, message_sid = m.message_sid,
       message_status = m.message_status, error_message = m.error_message,
       advice = m.advice,
       error_code = case when m.outcome = 'accepted' then null else a.error_code end,
       resolution = m.resolution, resolved_at = m.resolved_at, published_at = null
  from moved m
  join mms.attempts o
    on o.destination_id = m.destination_id and o.delivery_id = m.delivery_id
       and o.attempt = m.attempt
 where a.destination_id = m.destination_id and a.delivery_id = m.delivery_id
   and a.attempt = m.attempt and a.outcome = 'unknown'
returning a.result_id,
          case when o.published_at is null then true
               when a.attempt > 1
               then exists (select 1
                              from mms.attempts p
                             where p.destination_id = a.destination_id
                               and p.delivery_id = a.delivery_id and p.attempt < a.attempt
                               and coalesce(p.published_at, '-infinity') = '-infinity')
               else false end::int4
