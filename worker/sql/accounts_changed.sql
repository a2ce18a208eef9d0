-- The auth tokens (or references to them) of destinations that were changed lately, the newest
-- first; with as many rows as were asked for there may be more. In the form of accounts_whole.sql.
-- $1 how far back to look (microseconds), $2 how many destinations at most
--
-- updated_at is when the transaction began that changed the row: one that took longer than the
-- allowance in $1 is not seen here, but by the next look at everything.
select null::text, 1::int8,
       case when c.usable then c.config -> 'auth' ->> 'account_sid' end,
       case when c.usable then c.config -> 'auth' ->> 'auth_token' end,
       c.updated_at
  from (select d.config, d.updated_at, d.type = 'TWILIO_MMS'
                 and jsonb_typeof(d.config -> 'auth' -> 'auth_token') = 'string'
                 and octet_length(d.config -> 'auth' ->> 'auth_token') between 1 and 512
                 and d.config -> 'auth' ->> 'account_sid' ~ '^AC[0-9A-Za-z]{32}$' as usable
          from mms.destinations d
         where d.updated_at > (select clock_timestamp() - $1::int8 * interval '1 microsecond')
         order by d.updated_at desc
         limit $2::int8) c
