-- Results about messages' statuses that should have been published by now. None before the result of
-- the attempt itself, nor before it is known what that is. All that a message has waiting go
-- together: one beyond the reach would come after those that it came before.
-- $1 how old they are at least (microseconds), $2 how many messages at most, $3 how far to look back
-- from there (microseconds)
with due as materialized (
    select distinct n.destination_id, n.delivery_id, n.attempt, n.message_sid
      from (select s.*
              from mms.message_statuses s
             -- Row by row, from the oldest on: a plan that joins them all costs a second for each
             -- batch when there is much to do.
             cross join lateral (
                   select 1
                     from mms.deliveries d
                     join mms.attempts a
                       on a.destination_id = d.destination_id and a.delivery_id = d.id
                          and a.attempt = s.attempt
                    where d.destination_id = s.destination_id and d.id = s.delivery_id
                      and a.published_at is not null
                      and not (d.state = 'unknown' and d.attempts = s.attempt
                               and d.lookup_at < 'infinity')
                    limit 1) ready
             where s.published_at is null and s.advanced
               and s.received_at < (select clock_timestamp() - $1::int8 * interval '1 microsecond')
               and s.received_at > (select clock_timestamp()
                                           - ($1::int8 + $3::int8) * interval '1 microsecond')
             order by s.received_at
             limit $2::int8) n
)
select s.destination_id, s.delivery_id, s.attempt, s.message_sid, s.status, s.final::int4,
       s.error_code, s.error_message, s.reason, s.result_id, s.received_at, d.event_id,
       d.connection_id, d.traceparent, d.tracestate, s.worker
  from due u
  join mms.deliveries d on d.destination_id = u.destination_id and d.id = u.delivery_id
  join mms.message_statuses s
    on s.destination_id = u.destination_id and s.delivery_id = u.delivery_id
       and s.attempt = u.attempt and s.message_sid = u.message_sid
       and s.published_at is null and s.advanced
 order by s.received_at, s.rank
