-- What a fresh connection is judged by: the schema's version, and whether the server takes writes.
select max(m.version)::int4, pg_is_in_recovery()::int4 from mms.schema_migrations m
