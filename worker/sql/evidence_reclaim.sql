-- Twilio's own answer says whose message this is: takes it from an attempt that was only found to
-- have made it (its own answer doesn't name it). That one is unknown again, and looked up again;
-- what was learnt by asking for the message on its behalf is forgotten.
-- $1 message_sid, $2 destination_id, $3 delivery_id, $4 attempt
with holder as (
    update mms.attempts a
       set outcome = 'unknown', reason = 'MESSAGE_TAKEN', final = false, message_sid = null,
           message_status = null, result_id = gen_random_uuid(), published_at = null,
           resolution = concat_ws('; ', a.resolution, 'that was another attempt''s message'),
           resolved_at = clock_timestamp()
     where a.message_sid = $1::text and a.resolution is not null
       and coalesce(position(a.message_sid in a.response_body), 0) = 0
       and (a.destination_id, a.delivery_id, a.attempt)
           is distinct from ($2::text, $3::int8, $4::int8::int4)
    returning a.destination_id, a.delivery_id, a.attempt
), asked_no_more as (
    delete from mms.open_messages o
     using holder h
     where o.destination_id = h.destination_id and o.delivery_id = h.delivery_id
       and o.attempt = h.attempt
), forgotten as (
    delete from mms.message_statuses s
     using holder h
     where s.destination_id = h.destination_id and s.delivery_id = h.delivery_id
       and s.attempt = h.attempt and s.message_sid = $1::text and s.source = 'poll'
)
update mms.deliveries d
   set state = 'unknown', finished_at = null, lookup_at = clock_timestamp(), lookup_lease = null
  from holder h
 where d.destination_id = h.destination_id and d.id = h.delivery_id and d.attempts = h.attempt
   and d.state is not distinct from 'accepted'
