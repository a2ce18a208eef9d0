-- How many rejected events are old enough to go, and how many stay because they are not published.
-- $1 what is older than this goes (a timestamp)
select count(*) filter (where r.published_at is not null) as deleted,
       count(*) filter (where r.published_at is null) as not_published
  from mms.rejected_events r
 where r.rejected_at < $1::text::timestamptz
