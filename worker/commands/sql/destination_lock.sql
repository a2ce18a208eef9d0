-- Holds a destination's row until the end of the transaction, so that two who edit it do so one
-- after the other. What it has is read by the next statement, whose snapshot is younger than the lock.
-- $1 id
select d.id
  from mms.destinations d
 where d.id = $1::text
   for update
