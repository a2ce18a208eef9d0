-- The latest attempts, of one destination or of all, by the time at which they ended. Destination by
-- destination, as the index has it: there is none over all. Of all, first the destinations that have
-- something to say: the latest N attempts are of the N destinations with the latest one.
-- $1 destination_id, $2 outcome, $3 reason, $4 since when (null: any), $5 how many
select h.*
  from (select a.*
          from (select p.destination_id
                  from mms.paced p
                  left join lateral (
                       select t.finished_at
                         from mms.attempts t
                        where t.destination_id = p.destination_id
                          and ($2::text is null or t.outcome = $2::text)
                          and ($3::text is null or t.reason = $3::text)
                          and t.finished_at > coalesce($4::text::timestamptz, '-infinity')
                        order by t.finished_at desc
                        limit 1) newest on $1::text is null
                 where case when $1::text is null then newest.finished_at is not null
                            else p.destination_id = $1::text end
                 order by newest.finished_at desc
                 limit $5::int8) p
         cross join lateral (
               select t.destination_id, t.delivery_id, t.attempt, t.finished_at
                 from mms.attempts t
                where t.destination_id = p.destination_id
                  and ($2::text is null or t.outcome = $2::text)
                  and ($3::text is null or t.reason = $3::text)
                  and t.finished_at > coalesce($4::text::timestamptz, '-infinity')
                order by t.finished_at desc
                limit $5::int8) a
         order by a.finished_at desc
         limit $5::int8) k
  join mms.attempt_history h
    on h.destination_id = k.destination_id and h.delivery_id = k.delivery_id
       and h.attempt = k.attempt
 order by h.finished_at, h.event_id, h.attempt
