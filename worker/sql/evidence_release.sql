-- Gives deliveries back that were claimed and not attempted: as if they had not been claimed.
-- (Not 'd.state = …': an index of leases would do for the planner, and it knows no id.)
-- $1 destination_id, $2 delivery_id, $3 attempt, $4 lease_until (arrays)
update mms.deliveries d
   set state = 'pending', attempts = d.attempts - 1
  from unnest($1::text[], $2::int8[], $3::int4[], $4::timestamptz[])
       as i(destination_id, delivery_id, attempt, lease_until)
 where d.destination_id = i.destination_id and d.id = i.delivery_id
   and d.attempts = i.attempt and d.lease_until = i.lease_until and d.state is not distinct from 'sending'
