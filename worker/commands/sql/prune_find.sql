-- Deliveries whose latest attempt ended in a time, in batches: places (ctid), in the order of the table.
-- Time by time over all destinations, because tables are in the order of time: so a batch touches few
-- pages, and each of them once. Destination by destination within, because the index is. Looked at by
-- their latest attempt, so that each comes up once.
-- $1 from when, $2 until when (microseconds since 1970), $3 how many in a batch, $4 how many at most
-- (null: any)
select array_agg(f.place) as places, count(*) as deliveries
  from (select w.place, row_number() over (order by w.place) as n
          from (select d.ctid as place
                  from mms.paced p
                 cross join lateral (
                       select a.delivery_id, a.attempt
                         from mms.attempts a
                        where a.destination_id = p.destination_id
                          and a.finished_at >= 'epoch'::timestamptz + $1::int8 * interval '1 microsecond'
                          and a.finished_at < 'epoch'::timestamptz + $2::int8 * interval '1 microsecond'
                       offset 0) a
                 cross join lateral (
                       select d.ctid
                         from mms.deliveries d
                        where d.destination_id = p.destination_id and d.id = a.delivery_id
                          and d.attempts = a.attempt
                       offset 0) d
                 limit $4::int8) w) f
 group by (f.n - 1) / $3::int8
 order by (f.n - 1) / $3::int8
