-- What waits, all destinations together. Each count ends beyond a bound: nobody reads the rest, and a
-- frame has to be cheap. The order names the index, which only holds what is counted.
-- $1 the bound
select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at,
       (select count(*)
          from (select 1 from mms.deliveries d where d.state = 'pending'
                 order by d.destination_id, d.next_attempt_at, d.id limit $1::int8 + 1) x) as waiting,
       (select count(*)
          from (select 1 from mms.deliveries d where d.state = 'sending'
                 order by d.lease_until limit $1::int8 + 1) x) as sending,
       (select count(*)
          from (select 1 from mms.deliveries d where d.state = 'unknown'
                 order by d.destination_id, d.id limit $1::int8 + 1) x) as unknown,
       (select count(*) from mms.destinations d where d.disabled_at is not null) as disabled,
       (select count(*)
          from (select 1 from mms.attempts a where a.published_at is null
                 order by coalesce(a.resolved_at, a.finished_at) limit $1::int8 + 1) x)
     + (select count(*)
          from (select 1 from mms.rejected_events r where r.published_at is null
                 order by r.rejected_at limit $1::int8 + 1) x)
     + (select count(*)
          from (select 1 from mms.message_statuses s where s.published_at is null and s.advanced
                 order by s.received_at limit $1::int8 + 1) x) as outbox
