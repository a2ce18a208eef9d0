-- Messages to ask for at Twilio now, with the credentials that may. The next time is set before
-- anybody asks: nobody else does meanwhile, and what a lost worker didn't ask for comes round again.
-- The pauses grow fourfold, to half a day. A day after Twilio took it a message is left alone. Such
-- ones are closed apart, many at a time: where more is sent than can be asked for, closing would be
-- all that these few looks are good for.
-- $1 how many at most, $2 the first pause (microseconds), $3 how many bytes of settings: as in claim.sql
with due as materialized (
    select o.destination_id, o.delivery_id, o.attempt
      from mms.open_messages o
     where o.poll_at <= (select clock_timestamp())
       and o.opened_at >= (select clock_timestamp() - interval '1 day')
     order by o.poll_at
     limit $1::int8
       for update skip locked
), over as materialized (
    select o.destination_id, o.delivery_id, o.attempt
      from mms.open_messages o
     where o.opened_at < (select clock_timestamp() - interval '1 day')
     order by o.opened_at
     limit 1000
       for update skip locked
), closed as (
    delete from mms.open_messages o
     using over v
     where o.destination_id = v.destination_id and o.delivery_id = v.delivery_id
       and o.attempt = v.attempt
), asked as (
    update mms.open_messages o
       set polls = o.polls + 1,
           poll_at = clock_timestamp()
                     + least($2::int8 * power(4, least(o.polls + 1, 20)), 43200e6)
                       * interval '1 microsecond'
      from due d
     where o.destination_id = d.destination_id and o.delivery_id = d.delivery_id
       and o.attempt = d.attempt
    returning o.destination_id, o.delivery_id, o.attempt, o.message_sid
)
select a.destination_id, a.delivery_id, a.attempt, a.message_sid, n.type,
       case when pg_column_size(n.config) <= $3::int8 then n.config end::text as config
  from asked a
  join mms.destinations n on n.id = a.destination_id
