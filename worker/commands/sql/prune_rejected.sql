-- Deletes rejected events that are old enough and published, a few at a time (one may have a megabyte), from
-- the oldest on; those that somebody has in hand stay. 'more' says whether to go on, and from when.
-- $1 what is older than this goes (a timestamp), $2 from when (a timestamp), $3 how many at most
with found as materialized (
    select r.ctid as place, r.rejected_at
      from mms.rejected_events r
     where r.rejected_at < $1::text::timestamptz and r.rejected_at >= $2::text::timestamptz
       and r.published_at is not null
     order by r.rejected_at
     limit $3::int8
       for update skip locked
), deleted as (
    delete from mms.rejected_events r
     where r.ctid = any(array(select f.place from found f))
       and r.published_at is not null
    returning 1
)
select count(*) as found, (select count(*) from deleted) as deleted, max(f.rejected_at)::text as latest
  from found f
