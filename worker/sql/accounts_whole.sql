-- The auth tokens (or references to them) of all accounts, a page of destinations at a time; each
-- text once a page.
-- $1 behind which destination, $2 how many destinations at most
--
-- The first two columns say where the page ends and how many destinations it had; they are there also
-- if none of those has a token that could be one.
with page as materialized (
    select d.id, d.updated_at, d.type = 'TWILIO_MMS'
             and jsonb_typeof(d.config -> 'auth' -> 'auth_token') = 'string'
             and octet_length(d.config -> 'auth' ->> 'auth_token') between 1 and 512
             and d.config -> 'auth' ->> 'account_sid' ~ '^AC[0-9A-Za-z]{32}$' as usable,
           d.config -> 'auth' ->> 'account_sid' as account_sid,
           d.config -> 'auth' ->> 'auth_token' as auth_token
      from mms.destinations d
     where d.id > $1::text
     order by d.id
     limit $2::int8
)
select whole.last_id, whole.destinations, t.account_sid, t.auth_token, t.updated_at
  from (select max(p.id) as last_id, count(*) as destinations from page p) whole
  left join (select p.account_sid, p.auth_token, max(p.updated_at) as updated_at
               from page p
              where p.usable
              group by 1, 2) t on true
