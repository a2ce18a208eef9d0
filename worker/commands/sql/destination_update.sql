-- Replaces what a destination's row has; a trigger ends its parking.
-- $1 id, $2 name, $3 type, $4 config, $5 disabled_at
update mms.destinations d
   set name = $2::text,
       type = $3::text,
       config = $4::jsonb,
       disabled_at = $5::timestamptz
 where d.id = $1::text
returning d.id
