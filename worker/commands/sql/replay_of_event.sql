-- The latest series of an event at each destination, finished or not: what a replay of it would be.
-- $1 event_id, $2 destination_id (null: any)
select d.destination_id, d.id as delivery_id, d.event_id, d.replay, d.state,
       d.state = 'unknown' and d.lookup_at = 'infinity' as left_to_a_person, a.reason,
       coalesce(a.finished_at, d.created_at) as finished_at
  from mms.deliveries d
  left join mms.attempts a
    on a.destination_id = d.destination_id and a.delivery_id = d.id and a.attempt = d.attempts
 where d.event_id = $1::text
   and ($2::text is null or d.destination_id = $2::text)
   and not exists (
       select 1
         from mms.deliveries n
        where n.event_id = d.event_id and n.destination_id = d.destination_id
          and n.replay > d.replay)
 order by d.destination_id
