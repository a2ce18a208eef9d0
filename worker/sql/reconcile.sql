-- Takes deliveries that are unknown and due to be looked up at Twilio; nobody else does so for $3.
-- Of a destination with one that is due, others come along: those that could not be told when they
-- were alone, those with the same body, and of these also the ones that were left to a person, for
-- one of the messages may be theirs. Only together can equal messages be told apart. Who comes along
-- was sent at about the same time: an old one would make the list that has to be read a long one.
-- $1 how many at most, $2 how many of a destination, $3 lease of a lookup, $4 how much later others
-- may be due, $5 the delay (microseconds), $6 how many bytes of events: an attempt whose request isn't known
-- brings its event along, and what would be too much comes at the next look; $7 how many bytes of settings: as in
-- claim.sql
-- What Twilio's callback has told (told_sid) needs no question. (A poll only repeats what was held
-- of the attempt when it was made.)
-- The witness: a message to the same phone that Twilio took meanwhile, and must have listed.
with due as materialized (
    select d.destination_id, d.id, a.slot_at, a.request -> 'parameters' ->> 'Body' as body
      from (select f.destination_id, f.id, f.attempts
              from mms.deliveries f
             where f.state = 'unknown' and f.lookup_at <= (select clock_timestamp())
               and (f.lookup_lease is null or f.lookup_lease < clock_timestamp())
             order by f.lookup_at
             limit $1::int8) d
      join mms.attempts a
        on a.destination_id = d.destination_id and a.delivery_id = d.id and a.attempt = d.attempts
), chosen as materialized (
    select c.destination_id, c.id, sum(c.bytes) over lighter as heap,
           row_number() over lighter = 1 as lightest
      from (select destination_id, array_agg(body) as bodies, bool_or(body is null) as unsaid,
                   min(slot_at) as first_slot, max(slot_at) as last_slot,
                   $5::int8 * 2 * interval '1 microsecond' + interval '5 minutes' as near
              from due
             group by 1) u
     cross join lateral (
           select w.destination_id, w.id,
                  case when a.request is null
                       then coalesce(w.event_bytes, pg_column_size(w.event)) else 0 end as bytes
             from mms.deliveries w
             join mms.attempts a
               on a.destination_id = w.destination_id and a.delivery_id = w.id
                  and a.attempt = w.attempts
            where w.destination_id = u.destination_id and w.state = 'unknown'
              and (w.lookup_lease is null or w.lookup_lease < clock_timestamp())
              and (w.lookup_at <= clock_timestamp()
                   or (w.slot_at between u.first_slot - u.near and u.last_slot + u.near
                       and (w.lookup_at = 'infinity'
                            or w.lookup_at <= clock_timestamp()
                                              + $4::int8 * interval '1 microsecond')
                       and (u.unsaid or a.request is null
                            or (w.lookups > 0 and w.lookup_at < 'infinity')
                            or a.request -> 'parameters' ->> 'Body' = any(u.bodies))))
            order by w.lookup_at, w.id
            limit $2::int8) c
    window lighter as (order by c.bytes, c.destination_id, c.id)
     limit $1::int8
), taken as materialized (
    select d.destination_id, d.id
      from mms.deliveries d
      join chosen c on d.destination_id = c.destination_id and d.id = c.id
     where d.state is not distinct from 'unknown'
       and (d.lookup_lease is null or d.lookup_lease < clock_timestamp())
       and (c.lightest or c.heap <= $6::int8)
       for update of d skip locked
), asking as (
    update mms.deliveries d
       set lookup_lease = clock_timestamp() + $3::int8 * interval '1 microsecond',
           lookups = d.lookups + 1
      from taken t
     where d.destination_id = t.destination_id and d.id = t.id
    returning d.*
)
select k.destination_id, k.id, k.event_id, k.connection_id, k.traceparent, k.tracestate,
       k.attempts, k.budget_spent, k.lookup_lease, k.lookups, a.slot_at, a.started_at, a.finished_at,
       a.http_status, a.error_code, coalesce(a.reason, 'UNKNOWN') as reason, a.error_message,
       a.request::text,
       case when a.request is null then k.event end as event, (k.event -> 'retry')::text as retry,
       (n.updated_at = k.config_of)::int4 as same_config, n.type,
       case when pg_column_size(n.config) <= $7::int8 then n.config end::text as config,
       (a.outcome = 'unknown')::int4 as is_unknown, (k.lookup_at = 'infinity')::int4 as is_given_up,
       (select x.message_sid
          from (select l.message_sid, l.request, l.slot_at
                  from mms.attempts l
                 where l.destination_id = k.destination_id and l.finished_at > a.slot_at
                   and l.finished_at < clock_timestamp()
                                       - $5::int8 / 2 * interval '1 microsecond'
                 order by l.finished_at
                 limit 50) x
         where x.message_sid is not null and x.slot_at > a.slot_at
           and x.request ->> 'url' = a.request ->> 'url'
           and x.request -> 'parameters' ->> 'To' = a.request -> 'parameters' ->> 'To'
         limit 1) as witness,
       told.message_sid as told_sid, k.as_sms::int4 as as_sms
  from asking k
  join mms.attempts a
    on a.destination_id = k.destination_id and a.delivery_id = k.id and a.attempt = k.attempts
  left join mms.destinations n on n.id = k.destination_id
  left join lateral (
       select m.message_sid
         from mms.message_statuses m
        where m.destination_id = k.destination_id and m.delivery_id = k.id
          and m.attempt = k.attempts and m.source = 'callback'
        order by m.rank desc, m.received_at
        limit 1) told on true
