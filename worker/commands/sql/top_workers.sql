-- What each worker has sent in the last minute: destination by destination, as the index has it, of
-- those that can have sent. (clock_timestamp() itself would be no condition for an index.)
with active as materialized (
    select k.destination_id, clock_timestamp() - interval '1 minute' as since
      from mms.paced k
     cross join lateral (
           select p.next_slot_at
             from mms.pacing p
            where p.destination_id = k.destination_id
            order by p.era desc
            limit 1) p
     where p.next_slot_at > clock_timestamp() - interval '2 minutes'
)
select s.worker, count(*) as sends
  from active a
 cross join lateral (
       select t.worker
         from mms.attempts t
        where t.destination_id = a.destination_id and t.finished_at > a.since
          and t.started_at is not null
       offset 0) s
 group by s.worker
 order by s.worker
