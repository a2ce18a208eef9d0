-- Undoes a claim whose answer never came: its deliveries are in nobody's hands, and go back with
-- their slots as if they had not been claimed. Behind claim_undo_lock.sql. A destination in trouble
-- is not held for a probe that wasn't made.
-- $1 the claim, $2 how far a claim reserves beyond the slot (microseconds)
with undone as (
    update mms.deliveries d
       set state = 'pending', attempts = d.attempts - 1
     where d.state = 'sending' and d.claim = $1::text::uuid
    returning d.destination_id, d.slot_at
), woken as (
    update mms.pacing p
       set era = greatest(p.era, mms.era()),
           next_slot_at = k.next_slot_at,
           parked_until = case when p.trouble > 0 then least(p.parked_until, clock_timestamp())
                               else p.parked_until end,
           due_at = least(p.due_at,
                          greatest(k.next_slot_at, clock_timestamp(),
                                   case when p.trouble = 0 then p.parked_until end)),
           pending_from = '-infinity'
      from (select u.destination_id, newest.place,
                   case when newest.next_slot_at
                             = u.slot_at + $2::int8 * interval '1 microsecond'
                        then u.slot_at else newest.next_slot_at end as next_slot_at
              from undone u
             cross join lateral (
                   select q.ctid as place, q.next_slot_at
                     from mms.pacing q
                    where q.destination_id = u.destination_id
                    order by q.era desc
                    limit 1) newest) k
     where p.ctid = k.place
)
select count(*) from undone
