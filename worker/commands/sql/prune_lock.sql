-- Locks deliveries at these places: whoever works on one keeps it, prune never waits for anybody and so is
-- part of no deadlock. 7171444 is the class of locks of statuses_lock.sql: nothing is said about a message
-- while its delivery goes. What was changed since it was found stands at another place and isn't locked.
-- $1 places
select array_agg(l.place) as places, count(*) as deliveries
  from (select d.ctid as place, d.destination_id, d.id
          from mms.deliveries d
         where d.ctid = any($1::tid[])
           for update skip locked) l
 where pg_try_advisory_xact_lock(7171444, hashtext(l.destination_id || ' ' || l.id))
