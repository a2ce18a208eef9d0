-- Which of the deliveries at these places go, and why the others stay.
-- $1 places, $2 what is older than this goes (a timestamp)
-- A delivery goes as a whole: it is final, everything about it is older, all of it is published, and
-- no message of it is followed any more. So does an event: no series of it is younger or unfinished, or
-- one that stays could be replayed again. And while some unknown attempt is looked up, its neighbours
-- stay: they say whose the messages are that Twilio lists.
select array_agg(j.place) filter (where j.why is null) as places,
       count(*) filter (where j.why is null) as deliveries,
       coalesce(sum(j.attempts) filter (where j.why is null), 0) as attempts,
       coalesce(sum(j.statuses) filter (where j.why is null), 0) as message_statuses,
       count(*) filter (where j.why = 'person') as left_to_a_person,
       count(*) filter (where j.why = 'waiting') as not_finished,
       count(*) filter (where j.why = 'unpublished') as not_published,
       count(*) filter (where j.why = 'followed') as followed
  from (select d.ctid as place, a.attempts, s.statuses,
               case when d.state = 'unknown' and d.lookup_at = 'infinity' then 'person'
                    when d.state not in ('accepted', 'failed', 'expired') then 'waiting'
                    when a.unpublished or s.unpublished then 'unpublished'
                    when exists (select 1
                                   from mms.open_messages o
                                  where o.destination_id = d.destination_id
                                    and o.delivery_id = d.id) then 'followed'
                    when exists (select 1
                                   from mms.deliveries u
                                  where u.destination_id = d.destination_id and u.state = 'unknown'
                                    and u.lookup_at < 'infinity'
                                    and u.slot_at between d.slot_at - interval '1 hour'
                                                      and d.slot_at + interval '1 hour')
                    then 'followed'
                    when exists (select 1
                                   from mms.deliveries n
                                  where n.event_id = d.event_id
                                    and n.destination_id = d.destination_id
                                    and n.replay <> d.replay
                                    and (n.state not in ('accepted', 'failed', 'expired')
                                         or n.finished_at >= $2::text::timestamptz))
                    then 'younger'
                    when greatest(d.finished_at, a.latest, s.latest) >= $2::text::timestamptz
                    then 'younger' end as why
          from mms.deliveries d
         cross join lateral (
               select count(*) as attempts, bool_or(t.published_at is null) as unpublished,
                      max(greatest(t.finished_at, t.resolved_at)) as latest
                 from mms.attempts t
                where t.destination_id = d.destination_id and t.delivery_id = d.id) a
         cross join lateral (
               select count(*) as statuses,
                      bool_or(m.advanced and m.published_at is null) as unpublished,
                      max(m.received_at) as latest
                 from mms.message_statuses m
                where m.destination_id = d.destination_id and m.delivery_id = d.id) s
         where d.ctid = any($1::tid[])) j
