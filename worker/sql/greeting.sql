-- What a fresh connection is judged by: the schema's version, whether the server takes writes, and
-- whether each statement sees what was committed before it.
select max(m.version)::int4,
       (pg_is_in_recovery() or current_setting('transaction_read_only') = 'on')::int4,
       (current_setting('transaction_isolation') = 'read committed')::int4
  from mms.schema_migrations m
