-- Begins a new series for each of these deliveries: another delivery of the same event. Its attempts
-- are counted on from the last one, so that (event, destination, attempt) names one attempt for ever,
-- also on the status topic. Runs between intake_lock.sql and intake_wake.sql.
-- Whoever was quicker has replayed it; an unfinished one is not replayed. One that was left to a person
-- is given up with it: somebody has decided, and nobody shall send it a second time.
-- Rows that a worker has in hand are left out rather than waited for.
-- $1 destination_id, $2 delivery_id (array)
with over as materialized (
    select d.*
      from mms.deliveries d
      join mms.destinations t on t.id = d.destination_id
     where d.destination_id = $1::text
       and d.id = any($2::text::int8[])
       and (d.state in ('accepted', 'failed', 'expired')
            or (d.state = 'unknown' and d.lookup_at = 'infinity'))
       for no key update of d skip locked
), given_up as (
    update mms.deliveries d
       set state = 'failed', finished_at = clock_timestamp()
      from over o
     where d.destination_id = o.destination_id and d.id = o.id and o.state = 'unknown'
)
insert into mms.deliveries
       (destination_id, event_id, connection_id, event, traceparent, tracestate, source_topic,
        source_partition, source_offset, replay, attempts, next_attempt_at, event_bytes)
select d.destination_id, d.event_id, d.connection_id, d.event, d.traceparent, d.tracestate,
       d.source_topic, d.source_partition, d.source_offset, d.replay + 1, d.attempts,
       clock_timestamp(), d.event_bytes
  from over d
 order by d.id
    on conflict (event_id, destination_id, replay) do nothing
returning destination_id, event_id, replay, attempts + 1 as next_attempt
