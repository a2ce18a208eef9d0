-- Wakes the destinations that got a delivery. Runs in the transaction of intake.sql, as its last
-- statement, so that their rows are locked for as short as can be.
-- $1 destination_id (array)
--
-- No wake-up is lost: a claim that puts a destination to sleep holds the lock of its row from
-- before it looks for deliveries until it commits. Either it comes later and sees ours, or this
-- waits for it and then sees a sleeping row (ON CONFLICT looks at the latest version). The order of
-- the rows is the same in every statement that waits for such locks, so none waits for ever.
insert into mms.pacing (destination_id, due_at)
select k.destination_id, clock_timestamp()
  from (select distinct u.destination_id
          from unnest($1::text[]) as u(destination_id)
          join mms.destinations d on d.id = u.destination_id and d.type = 'TWILIO_MMS'
         order by 1) k
    on conflict (destination_id) do update
   set due_at = greatest(pacing.next_slot_at, pacing.parked_until, excluded.due_at)
 where pacing.due_at > greatest(pacing.next_slot_at, pacing.parked_until, excluded.due_at)
