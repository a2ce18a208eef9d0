-- What is older than this goes; and a moment before the oldest attempt ended that there is evidence of.
-- Destination by destination, as the index has it. (A microsecond less: old servers round.)
-- $1 how old (microseconds)
select c.cutoff, (extract(epoch from c.cutoff) * 1000000)::int8 as cutoff_us,
       (extract(epoch from least(o.oldest, c.cutoff)) * 1000000)::int8 - 1 as oldest_us
  from (select clock_timestamp() - $1::int8 * interval '1 microsecond' as cutoff) c
 cross join lateral (
       select min(f.finished_at) as oldest
         from mms.paced p
        cross join lateral (
              select a.finished_at
                from mms.attempts a
               where a.destination_id = p.destination_id
               order by a.finished_at
               limit 1) f) o
