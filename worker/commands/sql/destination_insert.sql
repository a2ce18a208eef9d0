-- Makes a destination, unless somebody else makes it at the same moment: no row then.
-- $1 id, $2 name, $3 type, $4 config, $5 disabled_at
insert into mms.destinations (id, name, type, config, disabled_at)
values ($1::text, $2::text, $3::text, $4::jsonb, $5::timestamptz)
    on conflict (id) do nothing
returning id
