-- Numbers about the whole database, for /metrics. Asked now and then, on a connection of its own.
-- What waits is found destination by destination, from pending_from on, and never by a walk through
-- an index's beginning, where a long transaction makes PostgreSQL keep what is gone. Counts end at
-- $1; beyond that pending deliveries are PostgreSQL's own estimate, as of its last vacuum.
-- $1 how far it is counted
-- Ages are microseconds, null if there is nothing.
with clock as materialized (
    select clock_timestamp() as now
), pace as materialized (
    select k.destination_id, p.due_at, p.parked_until, p.parked_since, p.pending_from
      from mms.paced k
     cross join lateral (
           select n.due_at, n.parked_until, n.parked_since, n.pending_from
             from mms.pacing n
            where n.destination_id = k.destination_id
            order by n.era desc
            limit 1) p
), pending as (
    select count(*) as n
      from (select 1
              from pace p
             cross join lateral (
                   select d.next_attempt_at
                     from mms.deliveries d
                    where d.destination_id = p.destination_id and d.state = 'pending'
                      and d.next_attempt_at >= p.pending_from
                    order by d.next_attempt_at
                   offset 0) w
             limit $1::int8 + 1) counted
), oldest as (
    select min(h.next_attempt_at) as at
      from clock c, pace p
     cross join lateral (
           select d.next_attempt_at
             from mms.deliveries d
            where d.destination_id = p.destination_id and d.state = 'pending'
              and d.next_attempt_at >= p.pending_from
            order by d.next_attempt_at
            limit 1) h
     where p.due_at < 'infinity' and p.parked_until <= c.now
), parked as (
    select count(*) as n, min(p.parked_since) as since
      from clock c, pace p
     where p.parked_until > c.now
), unknown as (
    select count(*) as n, count(*) filter (where u.lookup_at = 'infinity') as left_over
      from (select d.lookup_at
              from mms.deliveries d
             where d.state = 'unknown'
             limit $1::int8) u
), unpublished as (
    select (select count(*)
              from (select 1 from mms.attempts a where a.published_at is null limit $1::int8) n)
               as attempts,
           (select coalesce(a.resolved_at, a.finished_at)
              from mms.attempts a
             where a.published_at is null
             order by coalesce(a.resolved_at, a.finished_at)
             limit 1) as attempts_since,
           (select count(*)
              from (select 1
                      from mms.message_statuses s
                     where s.published_at is null and s.advanced
                     limit $1::int8) n) as statuses,
           (select s.received_at
              from mms.message_statuses s
             where s.published_at is null and s.advanced
             order by s.received_at
             limit 1) as statuses_since,
           (select count(*)
              from (select 1
                      from mms.rejected_events r
                     where r.published_at is null
                     limit $1::int8) n) as rejected,
           (select r.rejected_at
              from mms.rejected_events r
             where r.published_at is null
             order by r.rejected_at
             limit 1) as rejected_since
)
select case when w.n <= $1::int8 then w.n
            else greatest(w.n, (select i.reltuples::int8
                                  from pg_class i
                                 where i.oid = 'mms.deliveries_pending'::regclass)) end,
       -- What is long over its lease has no worker, and nobody to ask this.
       (select count(*)
          from mms.deliveries d
         where d.state = 'sending' and d.lease_until > c.now - interval '1 minute'),
       u.n,
       u.n - u.left_over,
       u.left_over,
       case when o.at is not null then greatest((extract(epoch from c.now - o.at) * 1000000)::int8, 0) end,
       k.n,
       (extract(epoch from c.now - k.since) * 1000000)::int8,
       n.attempts,
       n.statuses,
       n.rejected,
       (extract(epoch from c.now - n.attempts_since) * 1000000)::int8,
       (extract(epoch from c.now - n.statuses_since) * 1000000)::int8,
       (extract(epoch from c.now - n.rejected_since) * 1000000)::int8
  from clock c, pending w, oldest o, parked k, unknown u, unpublished n
