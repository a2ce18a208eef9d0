-- Puts another text of the same secret into a destination's row, unless somebody has changed it
-- since it was read. The old one comes as a hash: it may be a secret, and statements get logged.
-- $1 id, $2 field of auth, $3 SHA-256 of what it has, in hexadecimal, $4 what it gets
update mms.destinations d
   set config = jsonb_set(d.config, array['auth', $2::text], to_jsonb($4::text))
 where d.id = $1::text
   and encode(sha256(convert_to(d.config -> 'auth' ->> $2::text, 'UTF8')), 'hex') = $3::text
returning d.id
