-- What a worker relies on, of the server and of the role that it connects as. Names of tables are
-- looked up in the catalog: a role without rights may not even resolve them.
-- The last columns: rights that are missing; and whether there is one too many.
select current_setting('server_version_num')::int as version_number,
       current_setting('server_version') as version,
       pg_is_in_recovery() as standby,
       current_setting('transaction_read_only') = 'on' as read_only,
       current_setting('transaction_isolation') as isolation,
       current_setting('max_connections')::int as connections_max,
       (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
       current_setting('max_locks_per_transaction')::int8
           * current_setting('max_connections')::int8 as locks_max,
       coalesce((select 'usage on schema mms'
                   from pg_namespace n
                  where n.nspname = 'mms' and not has_schema_privilege(n.oid, 'usage')),
                (select string_agg(w.rights || ' on mms.' || w.relname, ', ' order by w.place)
                   from (select c.relname, t.place, string_agg(r.name, '/') as rights
                           from (values (1, 'schema_migrations', '{select}'),
                                        (2, 'destinations', '{select}'),
                                        (3, 'paced', '{select}'),
                                        (4, 'pacing', '{select,insert,update}'),
                                        (5, 'deliveries', '{select,insert,update}'),
                                        (6, 'attempts', '{select,insert,update}'),
                                        (7, 'rejected_events', '{select,insert,update}'),
                                        (8, 'opt_outs', '{select,insert}'),
                                        (9, 'message_statuses', '{select,insert,update,delete}'),
                                        (10, 'open_messages', '{select,insert,update,delete}'))
                                     t(place, name, rights)
                           join pg_namespace n on n.nspname = 'mms'
                           join pg_class c on c.relnamespace = n.oid and c.relname = t.name
                          cross join lateral unnest(t.rights::text[]) as r(name)
                          where not (has_table_privilege(c.oid, r.name)
                                     or (r.name in ('insert', 'update')
                                         and has_any_column_privilege(c.oid, r.name)))
                          group by c.relname, t.place) w)) as missing_rights,
       (select r.rolsuper from pg_roles r where r.rolname = current_user) as superuser
