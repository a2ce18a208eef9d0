-- Rejected events whose bytes can go on their topic again; without those that did already.
-- $1 event_id (null: any), $2 destination_id (null: any), $3 reason (null: any), $4 since when
-- (null: any), $5 until when, $6 rejected_at of the last one seen (null: none yet), $7 topic,
-- $8 partition, $9 offset of it; $10 how many
select r.topic, r.partition, r."offset", r.event_id, r.destination_id, r.reason, r.rejected_at, r.key,
       r.bytes, r.traceparent, r.tracestate
  from mms.rejected_events r
 where ($1::text is null or r.event_id = $1::text)
   and ($2::text is null or r.destination_id = $2::text)
   and ($3::text is null or r.reason = $3::text)
   and r.rejected_at > coalesce($4::text::timestamptz, '-infinity')
   and r.rejected_at <= $5::text::timestamptz
   and r.bytes is not null
   and r.replayed_at is null
   and ($6::text is null
        or (r.rejected_at, r.topic, r.partition, r."offset")
           > ($6::text::timestamptz, $7::text, $8::text::int4, $9::text::int8))
 order by r.rejected_at, r.topic, r.partition, r."offset"
 limit $10::text::int8
