-- The rejection of a record, if there is one.
-- $1 topic, $2 partition, $3 offset
select r.event_id, r.destination_id, 'rejected' as state, r.reason, r.detail
  from mms.rejected_events r
 where r.topic = $1::text and r.partition = $2::text::int4 and r."offset" = $3::text::int8
