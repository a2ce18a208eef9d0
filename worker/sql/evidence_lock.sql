-- First statement of an evidence batch: locks the pacing rows that the others change, in the order
-- that everybody keeps who waits for such locks.
-- $1 destination_id (array)
select count(*)
  from (select 1
          from mms.pacing p
         where p.destination_id = any($1::text[])
         order by p.destination_id
           for no key update) locked
