-- How a destination is doing, for people: a line for each, as name and value; null where there is
-- nothing to be said.
-- $1 destination_id
select condition,
       pending,
       to_char(oldest_pending_at, 'YYYY-MM-DD HH24:MI:SS') as oldest_pending_at,
       unknown,
       parked_reason,
       to_char(parked_since, 'YYYY-MM-DD HH24:MI:SS') as parked_since,
       to_char(next_probe_at, 'YYYY-MM-DD HH24:MI:SS') as next_probe_at,
       last_error_message,
       last_advice
  from mms.destination_health
 where destination_id = $1::text
