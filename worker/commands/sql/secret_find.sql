-- Destinations with secrets that aren't sealed with the key that seals, a page at a time.
-- $1 behind which id, $2 how a text of that key begins ("sealed:v1:KEYID:"), $3 whether those that are
-- not sealed at all count too, $4 how many at most
select d.id, d.config -> 'auth' ->> 'auth_token' as auth_token,
       d.config -> 'auth' ->> 'api_key_secret' as api_key_secret
  from mms.destinations d
 where d.id > $1::text
   and exists (select 1
                 from (values (d.config -> 'auth' -> 'auth_token'),
                              (d.config -> 'auth' -> 'api_key_secret')) s (value)
                where jsonb_typeof(s.value) = 'string'
                  and not starts_with(s.value #>> '{}', $2::text)
                  and not starts_with(s.value #>> '{}', 'env:')
                  and not starts_with(s.value #>> '{}', 'file:')
                  and (starts_with(s.value #>> '{}', 'sealed:') or $3::bool))
 order by d.id
 limit $4::int8
