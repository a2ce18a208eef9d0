-- Wakes destinations whose deliveries went back to pending, parks those in trouble, and ends the
-- trouble of those that are well again.
-- $1 destination_id, $2 wake_at (null: no wake-up), $3 parked_until (null: not parked),
-- $4 parked_reason, $5 well, $6 config_of: when the row that the attempt used had been changed,
-- $7 trouble when the delivery was claimed: if there was some, it was tried to see whether that is
-- over, as a probe (arrays)
-- Who is well again is looked at now: what was parked meanwhile would sleep on. So is who was held
-- for a probe (claim.sql) that said nothing about it.
-- What was sent before the trouble began, and meets it as well, doesn't make it greater: what was in
-- flight together is one failure, whatever their number, or the next pause would be the longest.
-- Trouble of a row that has been changed since is no reason to park: it may have been mended.
with input as (
    select u.destination_id,
           case when u.parked_until is null or d.updated_at = u.config_of
                then u.wake_at else '-infinity' end as wake_at,
           case when d.updated_at = u.config_of then u.parked_until end as parked_until,
           u.parked_reason, u.well <> 0 as well, u.trouble
      from unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::int4[],
                  $6::timestamptz[], $7::int4[])
           as u(destination_id, wake_at, parked_until, parked_reason, well, config_of, trouble)
      left join mms.destinations d on d.id = u.destination_id
)
update mms.pacing p
   set era = greatest(p.era, mms.era()),
       pending_from = case when w.wake_at is not null then '-infinity' else p.pending_from end,
       trouble = case when w.parked_until is not null then greatest(p.trouble, w.trouble + 1)
                      when w.well then 0 else p.trouble end,
       parked_until = case when w.parked_until is not null then greatest(held.until, w.parked_until)
                           when w.well then '-infinity' else held.until end,
       parked_since = case when w.parked_until is not null
                           then coalesce(p.parked_since, clock_timestamp())
                           when w.well then null else p.parked_since end,
       parked_reason = case when w.parked_until is not null then w.parked_reason
                            when w.well then null else p.parked_reason end,
       due_at = case when w.parked_until is not null
                     then greatest(p.next_slot_at, held.until, w.parked_until)
                     when w.well or w.probe
                     then least(p.due_at, greatest(p.next_slot_at, clock_timestamp()))
                     when w.wake_at is not null
                     then least(p.due_at, greatest(p.next_slot_at, p.parked_until, w.wake_at))
                     else p.due_at end
  from (select i.destination_id, min(i.wake_at) as wake_at, max(i.parked_until) as parked_until,
               max(i.parked_reason) as parked_reason, bool_or(i.well) as well,
               max(i.trouble) filter (where i.parked_until is not null) as trouble,
               bool_or(i.trouble > 0) as probe
          from input i
         group by i.destination_id) w
 cross join lateral (
       select q.ctid as place,
              case when w.probe then least(q.parked_until, clock_timestamp())
                   else q.parked_until end as until
         from mms.pacing q
        where q.destination_id = w.destination_id
        order by q.era desc
        limit 1) held
 where p.ctid = held.place
