-- Two workers that learn of one message at a time store it one after the other: only then can it be
-- told whether a status is a later one. In one order, so that nobody deadlocks; 7171444 is this
-- program's class of locks for it. Behind it a second statement sees what was stored meanwhile.
-- $1 destination_id, $2 delivery_id (arrays)
select count(pg_advisory_xact_lock(7171444, l.key))
  from (select distinct hashtext(i.destination_id || ' ' || i.delivery_id) as key
          from unnest($1::text[], $2::int8[]) as i(destination_id, delivery_id)
         order by 1
        offset 0) l
