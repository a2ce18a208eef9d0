-- Puts another text of the same secret into a destination's row, unless somebody has changed it
-- since it was read: no row then. The old one comes as a hash: it may be a secret, and statements get logged.
-- What would be larger than the table's constraint allows isn't tried ('fits' says so): PostgreSQL
-- would log how the row begins that it refuses.
-- $1 id, $2 field of auth, $3 SHA-256 of what it has, in hexadecimal, $4 what it gets, $5 how many bytes
-- of settings
with old as materialized (
    select d.id, jsonb_set(d.config, array['auth', $2::text], to_jsonb($4::text)) as config
      from mms.destinations d
     where d.id = $1::text
       and encode(sha256(convert_to(d.config -> 'auth' ->> $2::text, 'UTF8')), 'hex') = $3::text
       for no key update
), replaced as (
    update mms.destinations d
       set config = o.config
      from old o
     where d.id = o.id and octet_length(o.config::text) <= $5::int8
)
select octet_length(o.config::text) <= $5::int8 as fits
  from old o
