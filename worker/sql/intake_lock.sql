-- What pacing_lock.sql does, for intake: it also makes the pacing rows of destinations that came past
-- the trigger. They are ours then, as those that were there and are locked.
-- $1 destination_id (array)
with locked as materialized (
    select k.destination_id, l.found
      from (select distinct u.destination_id
              from unnest($1::text[]) as u(destination_id)
             order by 1) k
      left join lateral (
           select true as found
             from mms.pacing p
            where p.destination_id = k.destination_id
            order by p.era desc
            limit 1
              for no key update) l on true
), made as (
    insert into mms.pacing (destination_id, due_at)
    select d.id, clock_timestamp()
      from locked l
      join mms.destinations d on d.id = l.destination_id and d.type = 'TWILIO_MMS'
     where l.found is null
     order by d.id
    returning 1
)
select count(l.found) as locked, (select count(*) from made) as made
  from locked l
