-- Turns a batch of events into deliveries; those for a destination that doesn't exist, or is of
-- another type, into rejected events.
-- $1 event_id, $2 destination_id, $3 connection_id, $4 event, $5 key, $6 traceparent,
-- $7 tracestate, $8 topic, $9 partition, $10 offset (arrays); $11 worker
with input as materialized (
    select i.*, d.type
      from unnest($1::text[], $2::text[], $3::text[], $4::json[], $5::bytea[], $6::text[],
                  $7::text[], $8::text[], $9::int4[], $10::int8[])
           with ordinality
           as i(event_id, destination_id, connection_id, event, key, traceparent, tracestate, topic,
                partition, "offset", position)
      left join mms.destinations d on d.id = i.destination_id
), rejected as (
    insert into mms.rejected_events
           (topic, partition, "offset", event_id, destination_id, connection_id, key, bytes, reason,
            detail, traceparent, tracestate, worker)
    select i.topic, i.partition, i."offset", i.event_id, i.destination_id, i.connection_id, i.key,
           convert_to(i.event::text, 'UTF8'),
           case when i.type is null then 'DESTINATION_UNKNOWN' else 'DESTINATION_TYPE' end,
           case when i.type is null
                then 'destination_id: there is no destination of this id in mms.destinations'
                else format('destination_id: the destination is of type %s, expected TWILIO_MMS',
                            left(i.type, 100)) end,
           i.traceparent, i.tracestate, $11::text
      from input i
     where i.type is distinct from 'TWILIO_MMS'
        on conflict (topic, partition, "offset") do update
       set result_id = excluded.result_id, event_id = excluded.event_id,
           destination_id = excluded.destination_id, connection_id = excluded.connection_id,
           key = excluded.key, bytes = excluded.bytes, reason = excluded.reason,
           detail = excluded.detail, traceparent = excluded.traceparent,
           tracestate = excluded.tracestate, worker = excluded.worker,
           rejected_at = excluded.rejected_at, published_at = null, replayed_at = null
     where (rejected_events.key, rejected_events.bytes)
           is distinct from (excluded.key, excluded.bytes)
    returning reason
), taken as (
    -- In the order of arrival, which the ids then keep. An event that is here already, from
    -- another offset or a repeated batch, stays as it is.
    insert into mms.deliveries
           (destination_id, event_id, connection_id, event, traceparent, tracestate, source_topic,
            source_partition, source_offset, next_attempt_at, event_bytes)
    select i.destination_id, i.event_id, i.connection_id, i.event, i.traceparent, i.tracestate,
           i.topic, i.partition, i."offset", clock_timestamp(), octet_length(i.event::text)
      from input i
     where i.type = 'TWILIO_MMS'
     order by i.position
        on conflict (event_id, destination_id, replay) do nothing
    returning 1
)
select (select count(*) from taken) as taken,
       (select count(*) from rejected where reason = 'DESTINATION_UNKNOWN') as destination_unknown,
       (select count(*) from rejected where reason = 'DESTINATION_TYPE') as destination_type
