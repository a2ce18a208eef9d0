-- Rejected events to publish: our own at once, those of others when they should have been by now.
-- $1 how old those of others are at least (microseconds), $2 how many at most, $3 how many bytes
-- of values and keys (the last one may go beyond), $4 worker, $5 none that is older than this
select r.topic, r.partition, r."offset", r.result_id, r.event_id, r.destination_id,
       r.connection_id, r.key, r.bytes, r.reason, r.detail, r.traceparent, r.tracestate, r.worker,
       r.rejected_at
  from (select u.*,
               sum(coalesce(octet_length(u.bytes), 0) + coalesce(octet_length(u.key), 0))
                   over (order by u.rejected_at, u.topic, u.partition, u."offset"
                         rows between unbounded preceding and 1 preceding) as bytes_before
          from (select *
                  from mms.rejected_events e
                 where e.published_at is null and e.rejected_at >= $5::text::timestamptz
                   and (e.worker = $4::text
                        or e.rejected_at < (select clock_timestamp()
                                                   - $1::int8 * interval '1 microsecond'))
                 order by e.rejected_at
                 limit $2::int8) u) r
 where coalesce(r.bytes_before, 0) < $3::int8
 order by r.rejected_at
