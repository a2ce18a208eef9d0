-- Destinations with work, with trouble, or with a send in the last minutes; first those that need
-- attention: parked ones, then by how long the next delivery has been due. What costs more than one
-- look at an index is asked for the shown ones alone. Counts end beyond a bound.
-- A pacing row is looked up by its key, the newest era first, and nothing that is pending is earlier
-- than pending_from: so a long transaction of somebody else makes this no slower.
-- $1 only this one (null: all), $2 how many, $3 the bound
with listed as materialized (
    select p.*, clock_timestamp() as now
      from mms.paced k
     cross join lateral (
           select p.destination_id, p.next_slot_at, p.due_at, p.parked_until, p.parked_reason,
                  p.trouble, p.pending_from
             from mms.pacing p
            where p.destination_id = k.destination_id
            order by p.era desc
            limit 1) p
     where $1::text is null or k.destination_id = $1::text
), known as materialized (
    select l.*, l.parked_until > l.now as parked, d.id is null as missing,
           d.disabled_at is not null as disabled
      from listed l
      left join mms.destinations d on d.id = l.destination_id
     where $1::text is not null or l.due_at < 'infinity' or l.trouble > 0 or d.id is null
        or d.disabled_at is not null or l.next_slot_at > l.now - interval '2 minutes'
), busy as materialized (
    select k.*, h.next_attempt_at as first_at,
           count(*) over () as all_rows,
           count(*) filter (where k.parked and not k.disabled and not k.missing) over () as all_parked
      from known k
      left join lateral (
           select w.next_attempt_at
             from mms.deliveries w
            where w.destination_id = k.destination_id and w.state = 'pending'
              and w.next_attempt_at >= k.pending_from
            order by w.next_attempt_at, w.id
            limit 1) h on true
     where $1::text is not null or h.next_attempt_at is not null or k.trouble > 0
        or k.next_slot_at > k.now - interval '2 minutes'
), shown as materialized (
    select b.*, b.parked and not b.disabled and not b.missing as in_trouble
      from busy b
     order by in_trouble desc, b.first_at, b.next_slot_at desc, b.destination_id
     limit $2::int8
)
select s.destination_id,
       case when s.missing then 'missing' when s.disabled then 'disabled'
            when s.parked then 'parked' else 'active' end as condition,
       q.waiting,
       extract(epoch from s.now - o.oldest_at)::int8 as oldest_s,
       r.accepted, r.retry, r.failed, r.unknown, r.expired, r.sends_10s,
       case when s.in_trouble then extract(epoch from s.parked_until - s.now)::int8 end as parked_s,
       s.parked_reason,
       s.all_rows,
       s.all_parked
  from shown s
 cross join lateral (
       select count(*) as waiting
         from (select 1
                 from mms.deliveries w
                where w.destination_id = s.destination_id and w.state = 'pending'
                  and w.next_attempt_at >= s.pending_from
                order by w.next_attempt_at, w.id
                limit $3::int8 + 1) x) q
 cross join lateral (
       select min(x.created_at) as oldest_at
         from (select w.created_at
                 from mms.deliveries w
                where w.destination_id = s.destination_id and w.state = 'pending'
                  and w.next_attempt_at >= s.pending_from
                order by w.next_attempt_at, w.id
                limit 1000) x) o
 cross join lateral (
       select count(*) filter (where a.outcome = 'accepted') as accepted,
              count(*) filter (where a.outcome = 'retry') as retry,
              count(*) filter (where a.outcome = 'failed') as failed,
              count(*) filter (where a.outcome = 'unknown') as unknown,
              count(*) filter (where a.outcome = 'expired') as expired,
              count(*) filter (where a.started_at > s.now - interval '10 seconds') as sends_10s
         from mms.attempts a
        where a.destination_id = s.destination_id
          and a.finished_at > s.now - interval '1 minute') r
 order by s.in_trouble desc, s.first_at, s.next_slot_at desc, s.destination_id
