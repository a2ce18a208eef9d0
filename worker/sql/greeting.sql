-- What a fresh connection is judged by: the schema's version, whether the server takes writes,
-- whether each statement sees what was committed before it, and whether text is UTF-8 all the way.
select max(m.version)::int4,
       (pg_is_in_recovery() or current_setting('transaction_read_only') = 'on')::int4,
       (current_setting('transaction_isolation') = 'read committed')::int4,
       (getdatabaseencoding() = 'UTF8' and pg_client_encoding() = 'UTF8')::int4
  from mms.schema_migrations m
