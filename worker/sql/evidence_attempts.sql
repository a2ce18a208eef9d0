-- Stores the evidence of attempts and moves their deliveries on. A delivery moves only if it is
-- still in the state, lease and attempt that the worker had: 'unknown' means that the lease had run
-- out before, and what really happened is known now after all.
-- $1 destination_id, $2 delivery_id, $3 attempt, $4 lease_until, $5 result_id, $6 outcome,
-- $7 reason, $8 state, $9 budget_spent, $10 slot_at, $11 started_at, $12 finished_at,
-- $13 next_attempt_at, $14 request, $15 http_status, $16 response_headers, $17 response_body,
-- $18 message_sid, $19 message_status, $20 error_code, $21 error_message, $22 timing,
-- $23 keeps its place, $24 advice, $25 is sent as SMS from now on (arrays); $26 worker, $27 how long
-- after an unknown attempt it is looked up, $28 how long after it was taken a message's status is
-- asked for; 0: never (microseconds)
-- What Twilio's callback has told already of an unknown attempt is looked at now (told). So is one
-- that would be tried again: whoever said that it wasn't sent, Twilio has a message of it. A recipient
-- who opted out (21610) is remembered.
-- A delivery that is not to blame keeps its place in the queue: its destination was parked, or its
-- worker can't reach Twilio.
-- What a worker reports late about an attempt of its own beats what was found out without it; that
-- Twilio took it does so even if it was held to be absent.
-- Returned are the results that stand, and whether an earlier one of the same event waits to be
-- published: then this one waits for the outbox's sweep, behind it.
with input as materialized (
    select i.*,
           case when i.outcome = 'unknown'
                     or (i.outcome = 'retry' and i.state = 'pending' and i.started_at is not null)
                then exists (select 1
                               from mms.message_statuses m
                              where m.destination_id = i.destination_id
                                and m.delivery_id = i.delivery_id and m.attempt = i.attempt)
                else false end as told
      from unnest($1::text[], $2::int8[], $3::int4[], $4::timestamptz[], $5::uuid[], $6::text[],
                  $7::text[], $8::text[], $9::int4[], $10::timestamptz[], $11::timestamptz[],
                  $12::timestamptz[], $13::timestamptz[], $14::json[], $15::int4[], $16::json[],
                  $17::text[], $18::text[], $19::text[], $20::int4[], $21::text[], $22::json[],
                  $23::int4[], $24::text[], $25::int4[])
           as i(destination_id, delivery_id, attempt, lease_until, result_id, outcome, reason,
                state, budget_spent, slot_at, started_at, finished_at, next_attempt_at, request,
                http_status, response_headers, response_body, message_sid, message_status,
                error_code, error_message, timing, keeps_place, advice, as_sms)
), moved as (
    update mms.deliveries d
       set state = case when i.told then 'unknown' else i.state end,
           budget_spent = i.budget_spent,
           next_attempt_at = case when i.state = 'pending' and i.keeps_place = 0
                                  then coalesce(i.next_attempt_at, d.next_attempt_at)
                                  else d.next_attempt_at end,
           finished_at = case when i.state in ('accepted', 'failed', 'expired')
                              then i.finished_at end,
           as_sms = d.as_sms or i.as_sms <> 0,
           lookup_at = case when i.told then clock_timestamp()
                            when i.state <> 'unknown' then d.lookup_at
                            else i.finished_at + $27::int8 * interval '1 microsecond' end,
           lookup_lease = null
      from input i
     where d.destination_id = i.destination_id and d.id = i.delivery_id
       and d.attempts = i.attempt and d.lease_until = i.lease_until
       and (d.state in ('sending', 'unknown')
            or (d.state in ('pending', 'failed') and i.state = 'accepted'))
), opened as (
    insert into mms.open_messages
           (destination_id, delivery_id, attempt, message_sid, opened_at, poll_at)
    select i.destination_id, i.delivery_id, i.attempt, i.message_sid, i.finished_at,
           i.finished_at + $28::int8 * interval '1 microsecond'
      from input i
     where i.outcome = 'accepted' and i.message_sid is not null and $28::int8 > 0
        on conflict (destination_id, delivery_id, attempt) do nothing
), opted_out as (
    insert into mms.opt_outs (account_sid, sender, recipient, destination_id, event_id)
    select distinct on (1, 2, 3)
           substring(i.request ->> 'url' from '/Accounts/([^/]+)/'),
           coalesce(i.request -> 'parameters' ->> 'MessagingServiceSid',
                    i.request -> 'parameters' ->> 'From'),
           i.request -> 'parameters' ->> 'To', i.destination_id, d.event_id
      from input i
      join mms.deliveries d on d.destination_id = i.destination_id and d.id = i.delivery_id
     where i.error_code = 21610 and i.request is not null
     order by 1, 2, 3
        on conflict (account_sid, sender, recipient) do nothing
)
insert into mms.attempts
       (destination_id, delivery_id, attempt, result_id, outcome, reason, final, slot_at,
        started_at, finished_at, next_attempt_at, request, http_status, response_headers,
        response_body, message_sid, message_status, error_code, error_message, advice, timing,
        worker)
select i.destination_id, i.delivery_id, i.attempt, i.result_id,
       case when i.told then 'unknown' else i.outcome end, i.reason,
       i.state in ('accepted', 'failed', 'expired'), i.slot_at, i.started_at, i.finished_at,
       i.next_attempt_at, i.request, i.http_status, i.response_headers, i.response_body,
       i.message_sid, i.message_status, i.error_code, i.error_message, i.advice, i.timing,
       $26::text
  from input i
    on conflict (destination_id, delivery_id, attempt) do update
   set result_id = excluded.result_id, outcome = excluded.outcome, reason = excluded.reason,
       final = excluded.final, started_at = excluded.started_at,
       finished_at = excluded.finished_at, next_attempt_at = excluded.next_attempt_at,
       request = excluded.request, http_status = excluded.http_status,
       response_headers = excluded.response_headers, response_body = excluded.response_body,
       message_sid = excluded.message_sid, message_status = excluded.message_status,
       error_code = excluded.error_code, error_message = excluded.error_message,
       advice = excluded.advice, timing = excluded.timing, worker = excluded.worker,
       published_at = case when attempts.result_id = excluded.result_id
                           then attempts.published_at end,
       resolution = case when attempts.result_id = excluded.result_id then attempts.resolution
                         when excluded.outcome <> 'unknown'
                         then concat_ws('; ', attempts.resolution, 'reported late by its worker')
                         end,
       resolved_at = case when attempts.result_id = excluded.result_id then attempts.resolved_at
                          when excluded.outcome <> 'unknown' then clock_timestamp() end
 where attempts.outcome = 'unknown' or attempts.result_id = excluded.result_id
    or (excluded.outcome = 'accepted' and attempts.resolution is not null)
returning attempts.result_id,
          case when attempts.attempt > 1
               then exists (select 1
                              from mms.attempts p
                             where p.destination_id = attempts.destination_id
                               and p.delivery_id = attempts.delivery_id
                               and p.attempt < attempts.attempt
                               and coalesce(p.published_at, '-infinity') = '-infinity')
               else false end::int4
