-- What became of an event so far: its latest series at the destination. One row, or none if it has
-- not been taken in.
-- $1 event_id, $2 destination_id
select d.event_id, d.destination_id, d.state, d.attempts, d.next_attempt_at,
       d.state in ('accepted', 'failed', 'expired')
         or (d.state = 'unknown' and d.lookup_at = 'infinity') as over,
       d.source_topic as topic, d.source_partition as partition, d.source_offset as "offset",
       a.outcome, a.reason, a.http_status, a.message_sid, a.error_code, a.error_message, a.advice,
       case when a.delivery_id is not null then mms.attempt_story(a) end as story, t.disabled_at is not null as disabled, p.parked_reason,
       case when p.parked_until > clock_timestamp() then p.parked_until end as parked_until,
       p.next_slot_at
  from mms.deliveries d
  left join mms.attempts a
    on a.destination_id = d.destination_id and a.delivery_id = d.id and a.attempt = d.attempts
  left join mms.destinations t on t.id = d.destination_id
  left join lateral (
       select q.parked_until, q.parked_reason, q.next_slot_at
         from mms.pacing q
        where q.destination_id = d.destination_id
        order by q.era desc
        limit 1) p on true
 where d.event_id = $1::text and d.destination_id = $2::text
 order by d.replay desc
 limit 1
