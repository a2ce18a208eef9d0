-- The attempts of an event, by the time at which they ended; with those of its replays.
-- $1 destination_id, $2 outcome, $3 reason, $4 since when (null: any), $5 how many, $6 event_id
select h.*
  from (select a.destination_id, a.delivery_id, a.attempt
          from mms.deliveries d
          join mms.attempts a on a.destination_id = d.destination_id and a.delivery_id = d.id
         where d.event_id = $6::text
           and ($1::text is null or d.destination_id = $1::text)
           and ($2::text is null or a.outcome = $2::text)
           and ($3::text is null or a.reason = $3::text)
           and a.finished_at > coalesce($4::text::timestamptz, '-infinity')
         order by a.finished_at desc
         limit $5::int8) k
  join mms.attempt_history h
    on h.destination_id = k.destination_id and h.delivery_id = k.delivery_id
       and h.attempt = k.attempt
 order by h.finished_at, h.destination_id, h.attempt
