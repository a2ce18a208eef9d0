-- Moves slots from where the claim reserved them to where they belong, now that it is known when
-- the send began (or that it didn't). If the reservation has lapsed, somebody else went on.
-- $1 destination_id, $2 reserved_until, $3 next_slot_at (arrays)
-- A destination that waits for its slot is due with it; one that waits for a retry stays due then.
update mms.pacing p
   set era = greatest(p.era, mms.era()),
       next_slot_at = s.next_slot_at,
       due_at = case when p.due_at <= p.next_slot_at then s.next_slot_at else p.due_at end
  from unnest($1::text[], $2::timestamptz[], $3::timestamptz[])
       as s(destination_id, reserved_until, next_slot_at)
 cross join lateral (
       select q.ctid as place
         from mms.pacing q
        where q.destination_id = s.destination_id
        order by q.era desc
        limit 1) newest
 where p.ctid = newest.place
   and p.next_slot_at = s.reserved_until
