-- Wakes the destinations that got a delivery. Runs in the transaction of intake.sql, as its last
-- statement, behind pacing_lock.sql.
-- $1 destination_id (array)
-- What this transaction took in is pending from its beginning on at the earliest. Pacing rows are
-- made by a trigger; those of destinations that came past it are made here.
with newest as materialized (
    select k.destination_id, n.place
      from (select distinct u.destination_id
              from unnest($1::text[]) as u(destination_id)) k
      left join lateral (
           select q.ctid as place
             from mms.pacing q
            where q.destination_id = k.destination_id
            order by q.era desc
            limit 1) n on true
), woken as (
    update mms.pacing p
       set era = greatest(p.era, mms.era()),
           due_at = least(p.due_at, greatest(p.next_slot_at, p.parked_until, clock_timestamp())),
           pending_from = least(p.pending_from, transaction_timestamp())
      from newest n
     where p.ctid = n.place
       and (p.due_at > greatest(p.next_slot_at, p.parked_until, clock_timestamp())
            or p.pending_from > transaction_timestamp())
    returning 1
)
select (select count(*) from woken) as woken,
       (select count(mms.make_pacing(d.id))
          from newest n
          join mms.destinations d on d.id = n.destination_id and d.type = 'TWILIO_MMS'
         where n.place is null) as made
