-- All destinations, those in trouble first, and those that are missing though events wait for them.
-- What is pending is counted once over the index of pending deliveries, not destination by
-- destination; a last success is looked for among a destination's latest hundred attempts, for one
-- that only fails may have years of them. The last two columns: how long ago that was, as people
-- read it, and the row as JSON.
-- $1 condition (null: any)
select l.*,
       case when l.age < 100 then l.age || 's'
            when l.age < 6000 then l.age / 60 || 'm'
            when l.age < 172800 then l.age / 3600 || 'h'
            else l.age / 86400 || 'd' end as accepted,
       json_build_object('id', l.id, 'name', l.name, 'type', l.type, 'condition', l.condition,
                         'pending', l.pending, 'disabled_at', l.disabled_at,
                         'parked_reason', l.parked_reason, 'parked_since', l.parked_since,
                         'parked_until', l.parked_until, 'next_probe_at', l.next_probe_at,
                         'last_attempt_at', l.last_attempt_at, 'last_outcome', l.last_outcome,
                         'last_reason', l.last_reason,
                         'last_accepted_at', l.last_accepted_at)
  from (select h.*,
               a.finished_at as last_attempt_at,
               a.outcome as last_outcome,
               a.reason as last_reason,
               s.finished_at as last_accepted_at,
               extract(epoch from clock_timestamp() - s.finished_at)::int8 as age
          from (select coalesce(d.id, p.destination_id) as id,
                       d.name,
                       d.type,
                       case when d.id is null then 'missing'
                            when d.disabled_at is not null then 'disabled'
                            when p.parked_until > clock_timestamp() then 'parked'
                            else 'active' end as condition,
                       coalesce(q.pending, 0) as pending,
                       d.disabled_at,
                       p.parked_reason,
                       p.parked_since,
                       case when p.parked_until > clock_timestamp() then p.parked_until end
                           as parked_until,
                       case when p.trouble > 0 and d.disabled_at is null
                            then nullif(p.due_at, 'infinity') end as next_probe_at
                  from mms.destinations d
                  full join mms.pacing p on p.destination_id = d.id
                  left join (select w.destination_id, count(*) as pending
                               from mms.deliveries w
                              where w.state = 'pending'
                              group by w.destination_id) q
                    on q.destination_id = coalesce(d.id, p.destination_id)
                 where d.id is not null or q.pending > 0) h
          left join lateral (
               select t.finished_at, t.outcome, t.reason
                 from mms.attempts t
                where t.destination_id = h.id
                order by t.finished_at desc
                limit 1) a on true
          left join lateral (
               select k.finished_at
                 from (select t.finished_at, t.outcome
                         from mms.attempts t
                        where t.destination_id = h.id
                        order by t.finished_at desc
                        limit 100) k
                where k.outcome = 'accepted'
                limit 1) s on true
         where $1::text is null or h.condition = $1::text) l
 order by array_position(array['parked', 'missing', 'disabled', 'active'], l.condition),
          l.pending desc,
          l.id
