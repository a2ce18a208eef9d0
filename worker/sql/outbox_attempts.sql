-- Results that should have been published by now: their worker died, or Kafka was away. In the order
-- in which they came to be, which is the order of an event's attempts.
-- $1 how old they are at least (microseconds), $2 how many at most, $3 how far to look back from
-- there (microseconds)
select a.destination_id, a.delivery_id, a.attempt, a.result_id, a.outcome, a.reason, a.final,
       a.http_status, a.message_sid, a.message_status, a.error_code, a.error_message,
       a.next_attempt_at, a.worker, coalesce(a.resolved_at, a.finished_at), d.event_id,
       d.connection_id, d.traceparent, d.tracestate
  from mms.attempts a
  join mms.deliveries d on d.destination_id = a.destination_id and d.id = a.delivery_id
 where a.published_at is null
   and coalesce(a.resolved_at, a.finished_at)
       < (select clock_timestamp() - $1::int8 * interval '1 microsecond')
   and coalesce(a.resolved_at, a.finished_at)
       > (select clock_timestamp() - ($1::int8 + $3::int8) * interval '1 microsecond')
 order by coalesce(a.resolved_at, a.finished_at)
 limit $2::int8
