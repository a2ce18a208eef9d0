-- Could not be told yet: is asked again later, and the evidence says why.
-- $1 destination_id, $2 delivery_id, $3 attempt, $4 lookup_lease, $5 next lookup_at, $6 why (null: it
-- was only too early) (arrays)
with again as (
    update mms.deliveries d
       set lookup_at = i.next_at, lookup_lease = null
      from unnest($1::text[], $2::int8[], $3::int4[], $4::timestamptz[], $5::timestamptz[],
                  $6::text[])
           as i(destination_id, delivery_id, attempt, lookup_lease, next_at, why)
     where d.destination_id = i.destination_id and d.id = i.delivery_id
       and d.attempts = i.attempt and d.lookup_lease = i.lookup_lease
       and d.state is not distinct from 'unknown'
    returning i.*
)
update mms.attempts a
   set resolution = g.why
  from again g
 where g.why is not null and a.destination_id = g.destination_id
   and a.delivery_id = g.delivery_id and a.attempt = g.attempt and a.outcome = 'unknown'
