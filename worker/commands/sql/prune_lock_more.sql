-- Locks what belongs to deliveries that are locked: places of those that have all of it, and of all of it.
-- $1 places of deliveries
-- What is counted stands there without a lock as well; counted apart, by key, the cost doesn't grow with
-- the square of the batch.
with d as materialized (
    select d.ctid as place, d.destination_id, d.id,
           (select count(*)
              from mms.attempts a
             where a.destination_id = d.destination_id and a.delivery_id = d.id) as attempts,
           (select count(*)
              from mms.message_statuses m
             where m.destination_id = d.destination_id and m.delivery_id = d.id) as statuses
      from mms.deliveries d
     where d.ctid = any($1::tid[])
), attempts as materialized (
    select d.destination_id, d.id, a.place, a.published_at
      from d
     cross join lateral (
           select t.ctid as place, t.published_at
             from mms.attempts t
            where t.destination_id = d.destination_id and t.delivery_id = d.id
              for update skip locked) a
), statuses as materialized (
    select d.destination_id, d.id, m.place
      from d
     cross join lateral (
           select s.ctid as place
             from mms.message_statuses s
            where s.destination_id = d.destination_id and s.delivery_id = d.id
              for update skip locked) m
), whole as materialized (
    select d.place, a.places as attempts, s.places as statuses
      from d
      left join (select t.destination_id, t.id, array_agg(t.place) as places
                   from attempts t
                  where t.published_at is not null
                  group by 1, 2) a on a.destination_id = d.destination_id and a.id = d.id
      left join (select m.destination_id, m.id, array_agg(m.place) as places
                   from statuses m
                  group by 1, 2) s on s.destination_id = d.destination_id and s.id = d.id
     where coalesce(cardinality(a.places), 0) = d.attempts
       and coalesce(cardinality(s.places), 0) = d.statuses
)
select (select array_agg(w.place) from whole w) as deliveries,
       (select array_agg(a) from whole w, unnest(w.attempts) a) as attempts,
       (select array_agg(s) from whole w, unnest(w.statuses) s) as message_statuses
