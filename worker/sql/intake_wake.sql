-- Wakes the destinations that got a delivery. Runs in the transaction of intake.sql, as its last
-- statement, behind intake_lock.sql.
-- $1 destination_id (array)
-- What this transaction took in is pending from its beginning on at the earliest.
update mms.pacing p
   set era = greatest(p.era, mms.era()),
       due_at = least(p.due_at, greatest(p.next_slot_at, p.parked_until, clock_timestamp())),
       pending_from = least(p.pending_from, transaction_timestamp())
 where p.ctid = any(array(
           select newest.place
             from (select distinct u.destination_id
                     from unnest($1::text[]) as u(destination_id)) k
            cross join lateral (
                  select q.ctid as place
                    from mms.pacing q
                   where q.destination_id = k.destination_id
                   order by q.era desc
                   limit 1) newest))
   and (p.due_at > greatest(p.next_slot_at, p.parked_until, clock_timestamp())
        or p.pending_from > transaction_timestamp())
