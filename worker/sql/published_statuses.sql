-- The brokers have the results of these statuses.
-- $1 destination_id, $2 delivery_id, $3 attempt, $4 message_sid, $5 status (arrays)
update mms.message_statuses s
   set published_at = clock_timestamp()
  from unnest($1::text[], $2::int8[], $3::int4[], $4::text[], $5::text[])
       as i(destination_id, delivery_id, attempt, message_sid, status)
 where s.destination_id = i.destination_id and s.delivery_id = i.delivery_id
   and s.attempt = i.attempt and s.message_sid = i.message_sid and s.status = i.status
