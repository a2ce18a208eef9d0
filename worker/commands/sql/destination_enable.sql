-- Enables a destination whose row is locked. One that is in trouble is touched even if it was
-- enabled: the trigger on the row then ends its parking. No row if there is nothing to be done.
-- $1 id
update mms.destinations d
   set disabled_at = null
  from (select max(p.parked_reason) as parked_reason
          from mms.pacing p
         where p.destination_id = $1::text and p.trouble > 0) t
 where d.id = $1::text and (d.disabled_at is not null or t.parked_reason is not null)
returning t.parked_reason
