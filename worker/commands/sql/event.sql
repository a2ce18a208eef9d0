-- The whole story of one event as one JSON document: its deliveries (one for each destination, and
-- replays) with their attempts and what became of the messages, and where it was rejected.
-- $1 event_id, $2 'true': with what is long and for programs (the event, requests, headers, timing)
-- Why a delivery waits, and what to do next, is said here, beside the rows that it follows from; a
-- place in the queue is counted to 10 000. What a shell or psql is given is quoted for it.
-- Everything is found by a whole key, or by an index on what is asked for.
with deliveries as materialized (
    select d.*, n.id is not null as exists, n.name, n.disabled_at,
           p.parked_until, p.parked_reason, p.parked_since, coalesce(p.trouble, 0) as trouble, p.due_at,
           case when d.event_id ~ '^[A-Za-z0-9_.:@/][A-Za-z0-9_.:@/-]*$' then d.event_id
                else '''' || replace(d.event_id, '''', '''\''''') || '''' end as shell_event,
           case when d.destination_id ~ '^[A-Za-z0-9_.:@/][A-Za-z0-9_.:@/-]*$' then d.destination_id
                else '''' || replace(d.destination_id, '''', '''\''''') || '''' end as shell_destination,
           format('where destination_id = %L and id = %s' || E'\n'
                  || '  and state = ''unknown'' and lookup_at = ''infinity'';', d.destination_id, d.id)
               as this_one
      from mms.deliveries d
      left join mms.destinations n on n.id = d.destination_id
      left join lateral (
           select c.*
             from mms.pacing c
            where c.destination_id = d.destination_id
            order by c.era desc
            limit 1) p on true
     where d.event_id = $1::text
), judged as (
    select d.*,
           case when not d.exists then 'missing'
                when d.disabled_at is not null then 'disabled'
                when d.parked_until > clock_timestamp() then 'parked'
                when d.trouble > 0 then 'in trouble'
                else 'active' end as condition,
           case when d.state = 'unknown' and d.lookup_at = 'infinity' then 'person'
                when d.state in ('pending', 'sending', 'unknown') then d.state
                when d.state <> 'accepted' and not exists (
                         select 1
                           from deliveries l
                          where l.destination_id = d.destination_id and l.replay > d.replay)
                then 'lost' end as what,
           case when d.trouble > 0
                then (select a.advice
                        from mms.attempts a
                       where a.destination_id = d.destination_id
                       order by a.finished_at desc
                       limit 1) end as destination_advice,
           case when d.state = 'pending'
                then (select count(*)
                        from (select 1
                                from mms.deliveries w
                               where w.destination_id = d.destination_id and w.state = 'pending'
                                 and (w.next_attempt_at, w.id) < (d.next_attempt_at, d.id)
                               limit 10000) q) end as before
      from deliveries d
), told as (
    select j.*,
           case when j.what in ('pending', 'unknown') and j.condition = 'missing'
                then 'Its destination does not exist (any more).'
                when j.what = 'pending' and j.condition = 'disabled'
                then format('Its destination is disabled since %s UTC.', to_char(j.disabled_at, 'YYYY-MM-DD HH24:MI:SS'))
                when j.what = 'pending' and j.trouble > 0
                then format('Its destination is in trouble%s since %s UTC.%s',
                            coalesce(' (' || j.parked_reason || ')', ''),
                            to_char(coalesce(j.parked_since, j.parked_until), 'YYYY-MM-DD HH24:MI:SS'),
                            case when j.due_at < 'infinity'
                                 then format(' One delivery is tried at %s to see whether it is over.',
                                             to_char(j.due_at, 'HH24:MI:SS')) end)
                when j.what = 'pending' and j.next_attempt_at > clock_timestamp()
                then format('It is tried again at %s UTC at the earliest.',
                            to_char(j.next_attempt_at, 'YYYY-MM-DD HH24:MI:SS'))
                when j.what = 'pending' and j.before = 0
                then 'For its slot; it is the next one.'
                when j.what = 'pending'
                then format('For its slot, one a second: %s of this destination %s before it.',
                            case when j.before >= 10000 then '10000 or more' else j.before::text end,
                            case when j.before = 1 then 'is' else 'are' end)
                when j.what = 'sending' and j.lease_until > clock_timestamp()
                then format('Worker %s has it until %s UTC.', j.leased_by,
                            to_char(j.lease_until, 'YYYY-MM-DD HH24:MI:SS'))
                when j.what = 'sending'
                then format('Worker %s did not report within its lease; another one takes over.', j.leased_by)
                when j.what = 'unknown'
                then format('It may have been sent. Twilio is asked %s.',
                            case when j.lookup_lease > clock_timestamp() then 'at this moment'
                                 when j.lookup_at <= clock_timestamp() then 'as soon as a worker can'
                                 else to_char(j.lookup_at, '"at" YYYY-MM-DD HH24:MI:SS "UTC"') end)
                when j.what = 'person'
                then 'It may have been sent; that could not be told, and nobody asks any more. It is left to a person.'
           end as waits
      from judged j
), advised as (
    select t.*,
           case when t.what in ('pending', 'unknown') and t.condition = 'missing'
                then json_build_array(json_build_object(
                         'say', 'Make the destination again; until then its events wait.',
                         'run', json_build_array('mms-worker destination put FILE')))
                when t.what = 'pending' and t.condition = 'disabled'
                then json_build_array(json_build_object(
                         'say', 'Enable the destination; what waits then flows.',
                         'run', json_build_array('mms-worker destination enable ' || t.shell_destination)))
                when t.what = 'pending' and t.trouble > 0
                then json_build_array(json_build_object(
                         'say', coalesce(t.destination_advice, 'Mend the destination.')
                                || ' A change of the destination ends its pause at once.',
                         'run', json_build_array('mms-worker destination show ' || t.shell_destination)))
                when t.what = 'person'
                then json_build_array(
                         json_build_object(
                         'say', 'Look into Twilio''s log for the phone and the minute. If the message is there:',
                         'run', json_build_array(
                             E'update mms.deliveries set state = ''accepted''\n' || t.this_one)),
                         json_build_object(
                         'say', 'If it is not, have it sent (again):',
                         'run', json_build_array('mms-worker replay --event ' || t.shell_event
                                                 || ' --destination ' || t.shell_destination
                                                 || ' --outcome unknown')))
                when t.what = 'lost' and o.forget is not null
                then json_build_array(json_build_object(
                         'say', 'The recipient wants no messages from this sender. Should that have changed:',
                         'run', json_build_array(o.forget, 'mms-worker replay --event ' || t.shell_event)))
                when t.what = 'lost'
                then json_build_array(json_build_object(
                         'say', 'Nothing more happens by itself. Once what was wrong is mended, it can be sent anew:',
                         'run', json_build_array('mms-worker replay --event ' || t.shell_event)))
                else json_build_array() end as next
      from told t
      left join lateral (
           select format('delete from mms.opt_outs where recipient = %L and sender = %L;',
                         u.recipient, u.sender) as forget
             from mms.attempts a
             join mms.opt_outs u
               on u.recipient = a.request -> 'parameters' ->> 'To'
                  and u.sender = coalesce(a.request -> 'parameters' ->> 'MessagingServiceSid',
                                          a.request -> 'parameters' ->> 'From')
            where a.destination_id = t.destination_id and a.delivery_id = t.id
              and a.attempt = t.attempts and a.reason = 'RECIPIENT_OPTED_OUT'
            limit 1) o on true
)
select json_build_object(
         'event_id', $1::text,
         'deliveries', coalesce((
             select json_agg(json_build_object(
                        'destination_id', t.destination_id,
                        'destination_name', t.name,
                        'destination_condition', t.condition,
                        'delivery_id', t.id,
                        'replay', t.replay,
                        'connection_id', t.connection_id,
                        'state', t.state,
                        'taken_in_at', t.created_at,
                        'topic', t.source_topic,
                        'partition', t.source_partition,
                        'offset', t.source_offset,
                        'finished_at', t.finished_at,
                        'next_attempt_at', case when t.state = 'pending' then t.next_attempt_at end,
                        'lookup_at', case when t.state = 'unknown' then t.lookup_at end,
                        'lookups', t.lookups,
                        'leased_by', case when t.state = 'sending' then t.leased_by end,
                        'lease_until', case when t.state = 'sending' then t.lease_until end,
                        'parked_reason', t.parked_reason,
                        'waits', t.waits,
                        'next', t.next,
                        'event', case when $2::text = 'true'
                                      then translate(t.event::text, E'\n\r\t', '   ')::json end,
                        'attempts', h.attempts,
                        'opted_out', o.opted_out) order by t.destination_id, t.replay)
               from advised t
              cross join lateral (
                    select coalesce(json_agg(json_build_object(
                               'attempt', a.attempt,
                               'outcome', a.outcome,
                               'reason', a.reason,
                               'final', a.final,
                               'story', a.story,
                               'advice', a.advice,
                               'slot_at', a.slot_at,
                               'started_at', a.started_at,
                               'finished_at', a.finished_at,
                               'next_attempt_at', a.next_attempt_at,
                               'http_status', a.http_status,
                               'message_sid', a.message_sid,
                               'message_status', a.message_status,
                               'error_code', a.error_code,
                               'error_message', a.error_message,
                               'resolution', a.resolution,
                               'resolved_at', a.resolved_at,
                               'worker', a.worker,
                               'result_id', a.result_id,
                               'published_at', a.published_at,
                               'request', case when $2::text = 'true' then a.request end,
                               'response_headers', case when $2::text = 'true' then a.response_headers end,
                               'response_body', case when $2::text = 'true' then a.response_body end,
                               'timing', case when $2::text = 'true' then a.timing end,
                               'statuses', s.statuses) order by a.attempt), '[]') as attempts,
                           max(a.attempt) as latest
                      from mms.attempt_history a
                     cross join lateral (
                           select coalesce(json_agg(json_build_object(
                                      'status', m.status,
                                      'final', m.final,
                                      'advanced', m.advanced,
                                      'message_sid', m.message_sid,
                                      'error_code', m.error_code,
                                      'error_message', m.error_message,
                                      'reason', m.reason,
                                      'advice', m.advice,
                                      'source', m.source,
                                      'received_at', m.received_at,
                                      'worker', m.worker,
                                      'result_id', m.result_id,
                                      'published_at', m.published_at,
                                      'parameters', case when $2::text = 'true' then m.parameters end)
                                      order by m.rank, m.received_at), '[]') as statuses
                             from mms.message_statuses m
                            where m.destination_id = a.destination_id
                              and m.delivery_id = a.delivery_id and m.attempt = a.attempt) s
                     where a.destination_id = t.destination_id and a.delivery_id = t.id) h
              cross join lateral (
                    select coalesce(json_agg(json_build_object(
                               'recipient', u.recipient,
                               'sender', u.sender,
                               'account_sid', u.account_sid,
                               'since', u.since)), '[]') as opted_out
                      from mms.attempts a
                      join mms.opt_outs u
                        on u.recipient = a.request -> 'parameters' ->> 'To'
                           and u.sender = coalesce(a.request -> 'parameters' ->> 'MessagingServiceSid',
                                                   a.request -> 'parameters' ->> 'From')
                     where a.destination_id = t.destination_id and a.delivery_id = t.id
                       and a.attempt = h.latest) o), '[]'),
         'rejected', coalesce((
             select json_agg(json_build_object(
                        'destination_id', r.destination_id,
                        'connection_id', r.connection_id,
                        'reason', r.reason,
                        'detail', r.detail,
                        'topic', r.topic,
                        'partition', r.partition,
                        'offset', r."offset",
                        'rejected_at', r.rejected_at,
                        'worker', r.worker,
                        'result_id', r.result_id,
                        'published_at', r.published_at,
                        'replayed_at', r.replayed_at,
                        'next', case when r.replayed_at is not null
                                          or exists (select 1
                                                       from deliveries d
                                                      where d.destination_id = r.destination_id)
                                     then json_build_array()
                                     when r.reason like 'DESTINATION\_%' and r.reason <> 'DESTINATION_ID_INVALID'
                                     then json_build_array(json_build_object(
                                              'say', 'Make or mend the destination, then put the event on the topic again:',
                                              'run', json_build_array('mms-worker replay --event '
                                                  || case when $1::text ~ '^[A-Za-z0-9_.:@/][A-Za-z0-9_.:@/-]*$' then $1::text
                                                          else '''' || replace($1::text, '''', '''\''''') || '''' end
                                                  || ' --outcome rejected')))
                                     else json_build_array(json_build_object(
                                              'say', 'The event itself is wrong: its producer has to correct it and send it anew.',
                                              'run', json_build_array())) end)
                        order by r.rejected_at)
               from mms.rejected_events r
              where r.event_id = $1::text), '[]')) as story,
       (select count(*) from deliveries)
       + (select count(*) from mms.rejected_events r where r.event_id = $1::text) as found
