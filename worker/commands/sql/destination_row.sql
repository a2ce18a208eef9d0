-- A destination's row; times as JSON has them, and disabled_at as it can be written back.
-- $1 id
select d.id,
       d.name,
       d.type,
       d.config::text as config,
       to_json(d.disabled_at) #>> '{}' as disabled_at,
       to_json(d.created_at) #>> '{}' as created_at,
       to_json(d.updated_at) #>> '{}' as updated_at
  from mms.destinations d
 where d.id = $1::text
