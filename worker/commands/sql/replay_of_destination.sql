-- The next events of a destination that a replay is for, by the end of their last attempt; without
-- those that have been replayed already.
-- $1 destination_id, $2 states (array), $3 reason (null: any), $4 since when, $5 until when: what a
-- replay does meanwhile is not its own concern; $6 end of the last one seen, $7 its delivery_id;
-- $8 how many
select d.destination_id, d.id as delivery_id, d.event_id, d.replay, d.state,
       d.state = 'unknown' as left_to_a_person, a.reason, a.finished_at
  from mms.attempts a
  join mms.deliveries d
    on d.destination_id = a.destination_id and d.id = a.delivery_id and d.attempts = a.attempt
 where a.destination_id = $1::text
   and a.finished_at > $4::text::timestamptz
   and a.finished_at >= $6::text::timestamptz
   and a.finished_at <= $5::text::timestamptz
   and (a.finished_at, a.delivery_id) > ($6::text::timestamptz, $7::text::int8)
   and ($3::text is null or a.reason = $3::text)
   and d.state = any($2::text::text[])
   and (d.state <> 'unknown' or d.lookup_at = 'infinity')
   and not exists (
       select 1
         from mms.deliveries n
        where n.event_id = d.event_id and n.destination_id = d.destination_id
          and n.replay > d.replay)
 order by a.finished_at, a.delivery_id
 limit $8::text::int8
