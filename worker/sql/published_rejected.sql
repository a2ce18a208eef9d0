-- The brokers have the results and the dead letters of these.
-- $1 topic, $2 partition, $3 offset (arrays)
update mms.rejected_events r
   set published_at = clock_timestamp()
  from unnest($1::text[], $2::int4[], $3::int8[]) as i(topic, partition, "offset")
 where r.topic = i.topic and r.partition = i.partition and r."offset" = i."offset"
