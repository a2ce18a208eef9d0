-- Third statement of a claim: the clock, and when the next destination is due (no row: never).
-- $1 nothing is due before this (a timestamp)
select clock_timestamp(),
       (select p.due_at
          from mms.pacing p
         where p.due_at >= $1::text::timestamptz
         order by p.due_at
         limit 1)
