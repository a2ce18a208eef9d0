-- Second statement of a claim: for each destination locked by the first, gives its next slot to the
-- delivery that has waited longest, and says when to look at the destination again.
-- $1 look-ahead, $2 lease, $3 spacing of slots, $4 start window (microseconds); $5 worker;
-- $6 not 0: look at everything; $7 the claim's own id, $8 how many bytes of events, $9 how many bytes of settings,
-- $10 the largest event that may go now
--
-- The slot's successor is held back by the start window: as long as nobody knows when the send
-- really began, the next one may begin only after the last moment at which this one could have
-- (a worker doesn't start later than that), plus the spacing. The confirmation of the start
-- (evidence_slots.sql) moves it to the real start plus the spacing.
--
-- What a destination in trouble sends is a probe: until it is known how that went (or its lease is
-- over) nothing else is sent there.
-- The last column: whether anybody has opted out from the destination's sender.
-- Pacing rows are updated at the places that were locked; the list of places stands there once more,
-- or the planner might read the whole table to find them.
-- 'is not distinct from' keeps the planner from an index of what is pending, which knows no id.
-- Of the events that could go now $8 bytes are claimed, at least one event: the smaller, the sooner, as a lot
-- drawn in inverse proportion to its size has it, or where there is always a crowd the largest would never go.
-- The others' slots are put off, by a tenth of the look-ahead for each $8 bytes before them and their own: so
-- that those that come next don't find a crowd, and who sends little doesn't wait for who sends much.
-- Settings that take more than $9 bytes as they are stored are not read: null.
-- The two deliveries at the head are looked for from pending_from on, past those that are gone.
-- Where that finds fewer than two, everything is looked at: nothing is left behind for good.
with looked_at as materialized (
    select p.ctid as place, p.destination_id, p.next_slot_at, p.parked_until,
           case when $6::int8 = 0 then p.pending_from else '-infinity' end as look_from, p.trouble, d.type,
           case when pg_column_size(d.config) <= $9::int8 then d.config end as config, d.updated_at,
           d.id is not null and d.disabled_at is null as enabled, clock_timestamp() as now
      from mms.pacing p
      left join mms.destinations d on d.id = p.destination_id
     where p.ctid = any(current_setting('mms.claiming')::tid[])
), head as materialized (
    select l.*, q.id[1] as delivery_id, q.at[1] as first_at, q.at[2] as second_at,
           q.bytes[1] as bytes, greatest(l.next_slot_at, l.parked_until, l.now, q.at[1]) as slot_at
      from looked_at l
      left join lateral (
           select array_agg(h.id order by h.next_attempt_at, h.id) as id,
                  array_agg(h.next_attempt_at order by h.next_attempt_at, h.id) as at,
                  array_agg(h.bytes order by h.next_attempt_at, h.id) as bytes
             from (select w.id, w.next_attempt_at,
                          coalesce(w.event_bytes, pg_column_size(w.event)) as bytes
                     from mms.deliveries w
                    where w.destination_id = l.destination_id and w.state = 'pending'
                      and w.next_attempt_at >= l.look_from and l.enabled
                    order by w.next_attempt_at, w.id
                    limit 2) h) near on true
      left join lateral (
           select array_agg(h.id order by h.next_attempt_at, h.id) as id,
                  array_agg(h.next_attempt_at order by h.next_attempt_at, h.id) as at,
                  array_agg(h.bytes order by h.next_attempt_at, h.id) as bytes
             from (select w.id, w.next_attempt_at,
                          coalesce(w.event_bytes, pg_column_size(w.event)) as bytes
                     from mms.deliveries w
                    where w.destination_id = l.destination_id and w.state = 'pending'
                      and l.enabled and l.look_from > '-infinity' and near.id[2] is null
                    order by w.next_attempt_at, w.id
                    limit 2) h) whole on true
      cross join lateral (select coalesce(whole.id, near.id) as id, coalesce(whole.at, near.at) as at,
                         coalesce(whole.bytes, near.bytes) as bytes) q
), opening as materialized (
    select h.*,
           h.delivery_id is not null
             and h.slot_at <= h.now + $1::int8 * interval '1 microsecond' as opens
      from head h
), weighed as materialized (
    select o.*, sum(o.bytes) over lighter as heap, row_number() over lighter = 1 as lightest
      from (select h.*, h.bytes * -ln(1 - random()) as weight from opening h) o
    window lighter as (partition by o.opens order by o.weight, o.destination_id)
), decided as materialized (
    select w.*,
           w.slot_at + ($3::int8 + $4::int8) * interval '1 microsecond' as reserved_until,
           w.opens and w.fits as claimed,
           case when w.opens and not w.fits
                then w.now + $1::int8 * w.heap / $8::int8 / 10 * interval '1 microsecond' end
               as put_off_until
      from (select h.*, h.bytes <= $10::int8 and (h.lightest or h.heap <= $8::int8) as fits
              from weighed h) w
), probing as materialized (
    select d.*, case when d.claimed and d.trouble > 0
                     then d.now + $2::int8 * interval '1 microsecond' end as probed_until
      from decided d
), moved as (
    update mms.pacing p
       set era = greatest(p.era, mms.era()),
           pending_from = coalesce(d.first_at, p.pending_from),
           next_slot_at = case when d.claimed then d.reserved_until
                               else greatest(p.next_slot_at, d.put_off_until) end,
           parked_until = coalesce(d.probed_until, p.parked_until),
           due_at = case when d.delivery_id is null then 'infinity'
                         when not d.claimed then greatest(d.slot_at, d.put_off_until)
                         when d.second_at is null then 'infinity'
                         else greatest(d.reserved_until, d.second_at, d.probed_until) end
      from probing d
     where p.ctid = d.place and p.ctid = any(current_setting('mms.claiming')::tid[])
), claimed as (
    update mms.deliveries w
       set state = 'sending',
           attempts = w.attempts + 1,
           leased_by = $5::text,
           lease_until = d.now + $2::int8 * interval '1 microsecond',
           slot_at = d.slot_at,
           claim = $7::text::uuid,
           config_of = d.updated_at
      from decided d
     where d.claimed and w.destination_id = d.destination_id and w.id = d.delivery_id
       and w.state is not distinct from 'pending'
    returning w.destination_id, w.id, w.event_id, w.connection_id, w.event, w.traceparent,
              w.tracestate, w.attempts, w.budget_spent, w.slot_at, w.lease_until, w.created_at,
              w.as_sms
)
select c.destination_id, c.id, c.event_id, c.connection_id, c.event, c.traceparent, c.tracestate,
       c.attempts, c.budget_spent, c.slot_at, c.lease_until, c.created_at, d.reserved_until,
       d.trouble, d.type, d.config::text, d.updated_at, c.as_sms::int4,
       exists (select 1
                 from mms.opt_outs o
                where o.account_sid = d.config -> 'auth' ->> 'account_sid'
                  and o.sender = coalesce(d.config ->> 'messaging_service_sid',
                                          d.config ->> 'from'))::int4
  from claimed c
  join decided d on d.destination_id = c.destination_id
