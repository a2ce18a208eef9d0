-- Locks the pacing rows that the transaction is going to change, in the order that everybody keeps
-- who waits for such locks, so that none waits for ever. The statement after this one sees the rows
-- as they are then. A claim that puts a destination to sleep holds the lock from before it looks
-- for deliveries until it commits: either it comes later and sees ours, or we find it asleep.
-- $1 destination_id (array)
select count(*)
  from (select distinct u.destination_id
          from unnest($1::text[]) as u(destination_id)
         order by 1) k
 cross join lateral (
       select 1
         from mms.pacing p
        where p.destination_id = k.destination_id
        order by p.era desc
        limit 1
          for no key update) locked
