-- The brokers have these results.
-- $1 destination_id, $2 delivery_id, $3 attempt, $4 result_id (arrays)
update mms.attempts a
   set published_at = clock_timestamp()
  from unnest($1::text[], $2::int8[], $3::int4[], $4::uuid[])
       as i(destination_id, delivery_id, attempt, result_id)
 where a.destination_id = i.destination_id and a.delivery_id = i.delivery_id
   and a.attempt = i.attempt and a.result_id = i.result_id
