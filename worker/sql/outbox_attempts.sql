-- Results that should have been published by now: their worker died, or Kafka was away. In the order
-- in which they came to be, which is the order of an event's attempts. All that a delivery has
-- waiting go together: one beyond the reach would come after those that it came before.
-- $1 how old they are at least (microseconds), $2 how many deliveries at most, $3 how far to look
-- back from there (microseconds)
with due as materialized (
    select distinct n.destination_id, n.delivery_id
      from (select a.destination_id, a.delivery_id
              from mms.attempts a
             where a.published_at is null
               and coalesce(a.resolved_at, a.finished_at)
                   < (select clock_timestamp() - $1::int8 * interval '1 microsecond')
               and coalesce(a.resolved_at, a.finished_at)
                   > (select clock_timestamp() - ($1::int8 + $3::int8) * interval '1 microsecond')
             order by coalesce(a.resolved_at, a.finished_at)
             limit $2::int8) n
)
select a.destination_id, a.delivery_id, a.attempt, a.result_id, a.outcome, a.reason, a.final,
       a.http_status, a.message_sid, a.message_status, a.error_code, a.error_message,
       a.next_attempt_at, a.worker, coalesce(a.resolved_at, a.finished_at), d.event_id,
       d.connection_id, d.traceparent, d.tracestate
  from due u
  join mms.deliveries d on d.destination_id = u.destination_id and d.id = u.delivery_id
  join mms.attempts a
    on a.destination_id = u.destination_id and a.delivery_id = u.delivery_id
       and a.published_at is null
 order by coalesce(a.resolved_at, a.finished_at)
