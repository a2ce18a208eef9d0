-- Destinations, a page at a time: there may be many, and their configs are long.
-- $1 after which id, $2 only this one (null: all), $3 how many
select d.id, d.type, d.config, d.disabled_at is not null as disabled
  from mms.destinations d
 where d.id > $1::text and ($2::text is null or d.id = $2::text)
 order by d.id
 limit $3::int8
