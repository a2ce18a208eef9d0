-- Notes that a rejected event's bytes are on its topic again.
-- $1 topic, $2 partition, $3 offset
update mms.rejected_events r
   set replayed_at = clock_timestamp()
 where r.topic = $1::text and r.partition = $2::text::int4 and r."offset" = $3::text::int8
