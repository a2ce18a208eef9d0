-- How many events wait at a destination; read from the index alone.
-- $1 destination_id
select count(*) as pending
  from mms.deliveries w
 where w.destination_id = $1::text and w.state = 'pending'
