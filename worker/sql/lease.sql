-- Takes over deliveries whose worker has not finished within its lease: the send may have been
-- made. Each gets its evidence, which the outbox sweep publishes.
-- $1 how many at most, $2 worker, $3 how far to look back, $4 how long after its slot it can be
-- looked up: the exchange is over by then, and the delay has passed (microseconds), $5 advice
-- What Twilio's callback has told already is looked at now.
-- The candidates are materialised: joined directly, the planner may run the limited subquery again
-- for each row.
with due as materialized (
    select s.destination_id, s.id
      from mms.deliveries s
     where s.state = 'sending' and s.lease_until < (select clock_timestamp())
       and s.lease_until > (select clock_timestamp() - $3::int8 * interval '1 microsecond')
     order by s.lease_until
     limit $1::int8
       for update skip locked
), lost as (
    update mms.deliveries d
       set state = 'unknown', budget_spent = d.budget_spent + 1,
           lookup_at = case when exists (select 1
                                           from mms.message_statuses m
                                          where m.destination_id = d.destination_id
                                            and m.delivery_id = d.id and m.attempt = d.attempts)
                            then clock_timestamp()
                            else greatest(clock_timestamp(),
                                          d.slot_at + $4::int8 * interval '1 microsecond') end
      from due l
     where d.destination_id = l.destination_id and d.id = l.id
    returning d.destination_id, d.id, d.attempts, d.slot_at, d.leased_by
)
insert into mms.attempts
       (destination_id, delivery_id, attempt, result_id, outcome, reason, final, slot_at,
        finished_at, error_message, advice, worker)
select l.destination_id, l.id, l.attempts, gen_random_uuid(), 'unknown', 'WORKER_LOST', false,
       l.slot_at, clock_timestamp(),
       format('worker %s did not report within its lease; the message may have been sent',
              l.leased_by), $5::text, $2::text
  from lost l
    on conflict (destination_id, delivery_id, attempt) do nothing
returning 1
