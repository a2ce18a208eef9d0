-- Keeps events that could not be read at all.
-- $1 topic, $2 partition, $3 offset, $4 event_id, $5 destination_id, $6 connection_id, $7 key,
-- $8 bytes, $9 reason, $10 detail, $11 traceparent, $12 tracestate (arrays); $13 worker
-- An offset that is here already was rejected before (its commit got lost): nothing to do. If it is
-- another record, the topic was made anew: the later one is kept, the earlier is a dead letter. Returned
-- are the reasons of what is new.
insert into mms.rejected_events
       (topic, partition, "offset", event_id, destination_id, connection_id, key, bytes, reason,
        detail, traceparent, tracestate, worker)
select i.topic, i.partition, i."offset", i.event_id, i.destination_id, i.connection_id, i.key,
       i.bytes, i.reason, i.detail, i.traceparent, i.tracestate, $13::text
  from unnest($1::text[], $2::int4[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::bytea[],
              $8::bytea[], $9::text[], $10::text[], $11::text[], $12::text[])
       as i(topic, partition, "offset", event_id, destination_id, connection_id, key, bytes, reason,
            detail, traceparent, tracestate)
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
