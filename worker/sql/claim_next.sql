-- Third statement of a claim: the clock, and when the next destination is due (no row: never).
select clock_timestamp(), (select p.due_at from mms.pacing p order by p.due_at limit 1)
