-- Stores what Twilio said about messages, behind statuses_lock.sql. Each status of a message once;
-- whatever the order, a message goes on to later statuses only (advanced).
-- $1 destination_id, $2 delivery_id, $3 attempt, $4 account_sid, $5 message_sid, $6 status, $7 rank,
-- $8 final, $9 error_code, $10 error_message, $11 reason, $12 advice, $13 source, $14 parameters,
-- $15 sender, $16 recipient, $17 SHA-256 of each text that a config may have for the token that signed
-- it (itself, or a reference to it) with blanks between, '' if none had to (arrays);
-- $18 worker, $19 how long a message that was sent is left alone before it is asked for (microseconds),
-- $20 how many an attempt may have; what is only said again doesn't count
-- An attempt is named by a URL that Twilio signed with its account's token: it must be that
-- account's, by its evidence, or by its destination while there is none. And the token must be what
-- the attempt's own destination has: any row may say the account's SID and a token of its owner's.
-- An attempt that is unknown is looked at now: its message is known (reconcile.sql). So is one that
-- was held to be absent, as long as it isn't tried again. Whoever looks it up at this moment knows
-- less: taking their lease makes what they find void. What is held of an attempt may change between
-- this statement's snapshot and its update, hence 'unknown' beside what it becomes.
-- Only callbacks name an attempt. Polls ask for the message that an attempt was held to have made,
-- and say nothing about it once that has turned out to be another's (evidence_reclaim.sql).
-- What is final is asked for no more, also if that was known before it was to be asked for.
-- Opt-outs (21610) are remembered as in evidence_attempts.sql, when they are told first. Who signs may
-- say anything: what is too long to be a number is none.
-- Returns the results, in the order in which they were told, and whether one has to wait for the
-- outbox's sweep: an earlier one of its attempt isn't published yet, or (accepted) is to come first.
with input as materialized (
    select i.*, a.outcome, a.resolution is not null as resolved, d.event_id, d.connection_id,
           d.traceparent, d.tracestate,
           a.published_at is null or a.outcome <> 'accepted' as attempt_waits
      from unnest($1::text[], $2::int8[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::int4[],
                  $8::int4[], $9::int4[], $10::text[], $11::text[], $12::text[], $13::text[],
                  $14::json[], $15::text[], $16::text[], $17::text[])
           with ordinality
           as i(destination_id, delivery_id, attempt, account_sid, message_sid, status, rank, final,
                error_code, error_message, reason, advice, source, parameters, sender, recipient,
                signers, place)
      join mms.deliveries d
        on d.destination_id = i.destination_id and d.id = i.delivery_id and d.attempts >= i.attempt
      left join mms.attempts a
        on a.destination_id = i.destination_id and a.delivery_id = i.delivery_id
           and a.attempt = i.attempt
      left join mms.destinations n on n.id = i.destination_id
     where coalesce(substring(a.request ->> 'url' from '/Accounts/([^/]+)/'),
                    n.config -> 'auth' ->> 'account_sid') = i.account_sid
       and (i.signers = ''
            or encode(sha256(convert_to(n.config -> 'auth' ->> 'auth_token', 'UTF8')), 'hex')
               = any (string_to_array(i.signers, ' ')))
       and (i.source = 'callback' or a.message_sid = i.message_sid)
), known as materialized (
    select i.*, k.rank as known_rank, coalesce(k.waits, false) as known_waits,
           stored_before.n as stored_before,
           not coalesce(k.is_stored, false)
             and row_number() over (partition by i.destination_id, i.delivery_id, i.attempt,
                                                 i.message_sid, i.status
                                    order by i.place) = 1 as is_new
      from input i
     cross join lateral (
           select count(*) as n
             from mms.message_statuses m
            where m.destination_id = i.destination_id and m.delivery_id = i.delivery_id
              and m.attempt = i.attempt) stored_before
      left join lateral (
           select max(m.rank) as rank, bool_or(m.advanced and m.published_at is null) as waits,
                  bool_or(m.status = i.status) as is_stored
             from mms.message_statuses m
            where m.destination_id = i.destination_id and m.delivery_id = i.delivery_id
              and m.attempt = i.attempt and m.message_sid = i.message_sid) k on true
), ranked as materialized (
    select k.*,
           k.rank > greatest(coalesce(k.known_rank, 0),
                             coalesce(max(k.rank) over earlier, 0)) as advanced,
           k.is_new and k.stored_before + count(*) filter (where k.is_new) over told <= $20::int8
               as stays
      from known k
    window earlier as (partition by k.destination_id, k.delivery_id, k.attempt, k.message_sid
                       order by k.place rows between unbounded preceding and 1 preceding),
           told as (partition by k.destination_id, k.delivery_id, k.attempt order by k.place)
), stored as (
    insert into mms.message_statuses
           (destination_id, delivery_id, attempt, message_sid, status, rank, final, advanced,
            error_code, error_message, reason, advice, source, parameters, worker)
    select r.destination_id, r.delivery_id, r.attempt, r.message_sid, r.status, r.rank, r.final <> 0,
           r.advanced, r.error_code, r.error_message, r.reason, r.advice, r.source, r.parameters,
           $18::text
      from ranked r
     where r.stays
     order by r.place
        on conflict (destination_id, delivery_id, attempt, message_sid, status) do nothing
    returning *
), closed as (
    delete from mms.open_messages o
     using input i
     where i.final <> 0 and o.destination_id = i.destination_id and o.delivery_id = i.delivery_id
       and o.attempt = i.attempt
), sent as (
    update mms.open_messages o
       set polls = greatest(o.polls, 4),
           poll_at = greatest(o.poll_at, clock_timestamp() + $19::int8 * interval '1 microsecond')
      from (select k.destination_id, k.delivery_id, k.attempt
              from known k
             group by 1, 2, 3
            having bool_or(k.status = 'sent') and not bool_or(k.final <> 0)) k
     where o.destination_id = k.destination_id and o.delivery_id = k.delivery_id
       and o.attempt = k.attempt
), doubted as (
    update mms.deliveries d
       set state = 'unknown', lookup_at = clock_timestamp(), lookup_lease = null, finished_at = null
      from (select distinct on (i.destination_id, i.delivery_id) i.*
              from input i
             where i.source = 'callback'
             order by i.destination_id, i.delivery_id, i.attempt desc) i
     where d.destination_id = i.destination_id and d.id = i.delivery_id
       and d.attempts = i.attempt
       and ((d.state = 'unknown'
             and (d.lookup_at > clock_timestamp() or d.lookup_lease is not null))
            or (d.state = 'pending' and i.outcome in ('retry', 'unknown'))
            or (d.state = 'failed' and (i.outcome = 'unknown'
                                        or (i.outcome = 'failed' and i.resolved))))
    returning d.destination_id, d.id, d.attempts
), reopened as (
    update mms.attempts a
       set outcome = 'unknown', final = a.final and a.outcome = 'unknown',
           resolution = case when a.outcome = 'unknown' then a.resolution
                             else concat_ws('; ', a.resolution,
                                            'it was held not to be sent, but Twilio reports its message')
                             end
      from doubted u
     where a.destination_id = u.destination_id and a.delivery_id = u.id
       and a.attempt = u.attempts
), opted_out as (
    insert into mms.opt_outs (account_sid, sender, recipient, destination_id, event_id)
    select distinct on (1, 2, 3) i.account_sid, i.sender, i.recipient, i.destination_id, i.event_id
      from input i
      join stored s
        on s.destination_id = i.destination_id and s.delivery_id = i.delivery_id
           and s.attempt = i.attempt and s.message_sid = i.message_sid and s.status = i.status
     where i.error_code = 21610 and length(i.sender) <= 100 and length(i.recipient) <= 100
     order by 1, 2, 3
        on conflict (account_sid, sender, recipient) do nothing
)
select s.destination_id, s.delivery_id, s.attempt, s.message_sid, s.status, s.final::int4,
       s.error_code, s.error_message, s.reason, s.result_id, s.received_at, r.event_id,
       r.connection_id, r.traceparent, r.tracestate,
       (coalesce(r.attempt_waits, true) or r.known_waits)::int4 as waits
  from stored s
  join ranked r
    on r.destination_id = s.destination_id and r.delivery_id = s.delivery_id
       and r.attempt = s.attempt and r.message_sid = s.message_sid and r.status = s.status
       and r.advanced
 where s.advanced
 order by r.place
