-- Stores the evidence of attempts and moves their deliveries on. A delivery moves only if it is
-- still in the state, lease and attempt that the worker had: 'unknown' means that the lease had run
-- out before, and what really happened is known now after all.
-- $1 destination_id, $2 delivery_id, $3 attempt, $4 lease_until, $5 result_id, $6 outcome,
-- $7 reason, $8 state, $9 budget_spent, $10 slot_at, $11 started_at, $12 finished_at,
-- $13 next_attempt_at, $14 request, $15 http_status, $16 response_headers, $17 response_body,
-- $18 message_sid, $19 message_status, $20 error_code, $21 error_message, $22 timing,
-- $23 parked (arrays); $24 worker
-- A delivery that is not to blame keeps its place in the queue: its destination was parked, or its
-- worker can't reach Twilio.
with input as materialized (
    select i.*
      from unnest($1::text[], $2::int8[], $3::int4[], $4::timestamptz[], $5::uuid[], $6::text[],
                  $7::text[], $8::text[], $9::int4[], $10::timestamptz[], $11::timestamptz[],
                  $12::timestamptz[], $13::timestamptz[], $14::json[], $15::int4[], $16::json[],
                  $17::text[], $18::text[], $19::text[], $20::int4[], $21::text[], $22::json[],
                  $23::int4[])
           as i(destination_id, delivery_id, attempt, lease_until, result_id, outcome, reason,
                state, budget_spent, slot_at, started_at, finished_at, next_attempt_at, request,
                http_status, response_headers, response_body, message_sid, message_status,
                error_code, error_message, timing, parked)
), moved as (
    update mms.deliveries d
       set state = i.state,
           budget_spent = i.budget_spent,
           next_attempt_at = case when i.state = 'pending' and i.parked = 0
                                  then coalesce(i.next_attempt_at, d.next_attempt_at)
                                  else d.next_attempt_at end,
           finished_at = case when i.state in ('accepted', 'failed', 'expired')
                              then i.finished_at end
      from input i
     where d.destination_id = i.destination_id and d.id = i.delivery_id
       and d.attempts = i.attempt and d.lease_until = i.lease_until
       and d.state in ('sending', 'unknown')
)
insert into mms.attempts
       (destination_id, delivery_id, attempt, result_id, outcome, reason, final, slot_at,
        started_at, finished_at, next_attempt_at, request, http_status, response_headers,
        response_body, message_sid, message_status, error_code, error_message, timing, worker)
select i.destination_id, i.delivery_id, i.attempt, i.result_id, i.outcome, i.reason,
       i.state in ('accepted', 'failed', 'expired'), i.slot_at, i.started_at, i.finished_at,
       i.next_attempt_at, i.request, i.http_status, i.response_headers, i.response_body,
       i.message_sid, i.message_status, i.error_code, i.error_message, i.timing, $24::text
  from input i
    on conflict (destination_id, delivery_id, attempt) do update
   set result_id = excluded.result_id, outcome = excluded.outcome, reason = excluded.reason,
       final = excluded.final, started_at = excluded.started_at,
       finished_at = excluded.finished_at, next_attempt_at = excluded.next_attempt_at,
       request = excluded.request, http_status = excluded.http_status,
       response_headers = excluded.response_headers, response_body = excluded.response_body,
       message_sid = excluded.message_sid, message_status = excluded.message_status,
       error_code = excluded.error_code, error_message = excluded.error_message,
       timing = excluded.timing, worker = excluded.worker, published_at = null
 where attempts.outcome = 'unknown' and attempts.result_id <> excluded.result_id
