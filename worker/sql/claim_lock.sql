-- First statement of a claim: takes the advisory locks of destinations that are due, and leaves
-- the places of their pacing rows in a setting of this transaction for the next statement.
-- $1 look-ahead in microseconds, $2 how many at most, $3 nothing is due before this (a timestamp)
--
-- Locking and reading in one statement would read a snapshot older than the lock, hence two.
-- The candidates come from the index on due_at and are limited before any lock function runs. Their
-- rows are locked as well, skipping those that intake or evidence hold: that orders a claim against
-- a wake-up. A claim never waits for anything, so it can't be part of a deadlock. 7171443 ('mms')
-- is this program's class of advisory locks; two destinations with one hash only share a moment.
-- $3 saves walking through what was due long ago, as long as a long transaction keeps that.
select set_config('mms.claiming', coalesce(array_agg(c.place), '{}')::text, true)
  from (select p.ctid as place, p.destination_id
          from mms.pacing p
         where p.due_at >= $3::text::timestamptz
           and p.due_at <= (select clock_timestamp() + $1::int8 * interval '1 microsecond')
         order by p.due_at
         limit $2::int8
           for no key update skip locked) c
 where pg_try_advisory_xact_lock(7171443, hashtext(c.destination_id))
