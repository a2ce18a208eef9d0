-- A destination's latest attempts, the newest first.
-- $1 destination_id
select a.finished_at, d.event_id, a.attempt, a.outcome, a.reason, a.error_code
  from (select t.*
          from mms.attempts t
         where t.destination_id = $1::text
         order by t.finished_at desc
         limit 5) a
  join mms.deliveries d on d.destination_id = a.destination_id and d.id = a.delivery_id
 order by a.finished_at desc
