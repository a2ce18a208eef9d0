-- Disables a destination whose row is locked. No row if it was disabled already.
-- $1 id
update mms.destinations d
   set disabled_at = clock_timestamp()
 where d.id = $1::text and d.disabled_at is null
returning null::text as parked_reason
