-- The event that a destination was sent last, as it came.
-- $1 destination_id
select d.event
  from mms.deliveries d
 where d.destination_id = $1::text
 order by d.id desc
 limit 1
