-- Who may do what. `mms-worker migrate` runs this behind the migrations, each time: the roles have
-- exactly these rights in the schema afterwards, none of them to be passed on, and nothing is touched
-- that is as it should be. They can't log in; what logs in is made a member of them. Returns what it
-- can't do, a line each, with what an administrator can: make roles that are missing (roles are the
-- server's, and not every owner of a database may make some), take back what a role has from somebody
-- else than the owner, and what it may as a member of another role.
--
-- mms_worker    what `run` and `check` do: no change of a destination, of an event or of what an
--               attempt was about, and nothing that history is made of is deleted (a status that a
--               poll attributed wrongly is)
-- mms_reader    analysts: everything but a destination's config, which holds Twilio's credentials
-- mms_operator  who keeps destinations, replays and prunes; sees what a reader sees, and the config
--
-- A table that isn't named here is nobody's; a column that comes later is nobody's where columns are named.

do $$
declare
    absent text;
    step integer;
    change text;
    foreign_rights text[] := '{}';
begin
    foreach absent in array array['mms_worker', 'mms_reader', 'mms_operator'] loop
        continue when to_regrole(absent) is not null;
        begin
            execute format('create role %I nologin', absent);
        exception
            when insufficient_privilege then null;
            when duplicate_object or unique_violation then null; -- in another database, at this moment
        end;
    end loop;

    for step, change in
        with rights(roles, object, privilege, columns) as (values
            ('{mms_worker,mms_reader,mms_operator}'::text[], 'schema mms', 'USAGE', null::text[]),
            ('{mms_worker,mms_reader,mms_operator}', 'table mms.schema_migrations', 'SELECT', null),

            ('{mms_worker,mms_operator}', 'table mms.destinations', 'SELECT', null),
            ('{mms_reader}', 'table mms.destinations', 'SELECT',
                '{id,name,type,disabled_at,created_at,updated_at}'),
            ('{mms_operator}', 'table mms.destinations', 'INSERT', null),
            ('{mms_operator}', 'table mms.destinations', 'UPDATE', null),
            ('{mms_operator}', 'table mms.destinations', 'DELETE', null),

            ('{mms_worker,mms_reader,mms_operator}', 'table mms.paced', 'SELECT', null),
            ('{mms_worker,mms_reader,mms_operator}', 'table mms.pacing', 'SELECT', null),
            ('{mms_worker,mms_operator}', 'table mms.pacing', 'INSERT', '{destination_id,due_at}'),
            ('{mms_worker}', 'table mms.pacing', 'UPDATE',
                '{era,next_slot_at,due_at,parked_until,parked_since,parked_reason,trouble,pending_from}'),
            ('{mms_operator}', 'table mms.pacing', 'UPDATE', '{era,due_at,pending_from}'),

            ('{mms_worker,mms_reader,mms_operator}', 'table mms.deliveries', 'SELECT', null),
            ('{mms_worker}', 'table mms.deliveries', 'INSERT',
                '{destination_id,event_id,connection_id,event,event_bytes,traceparent,tracestate,source_topic,source_partition,source_offset,next_attempt_at}'),
            ('{mms_worker}', 'table mms.deliveries', 'UPDATE',
                '{state,attempts,budget_spent,next_attempt_at,leased_by,lease_until,slot_at,finished_at,claim,config_of,lookup_at,lookup_lease,lookups,as_sms}'),
            ('{mms_operator}', 'table mms.deliveries', 'INSERT',
                '{destination_id,event_id,connection_id,event,event_bytes,traceparent,tracestate,source_topic,source_partition,source_offset,replay,attempts,next_attempt_at}'),
            ('{mms_operator}', 'table mms.deliveries', 'UPDATE', '{state,finished_at}'),
            ('{mms_operator}', 'table mms.deliveries', 'DELETE', null),

            ('{mms_worker,mms_reader,mms_operator}', 'table mms.attempts', 'SELECT', null),
            ('{mms_worker}', 'table mms.attempts', 'INSERT',
                '{destination_id,delivery_id,attempt,result_id,outcome,reason,final,slot_at,started_at,finished_at,next_attempt_at,request,http_status,response_headers,response_body,message_sid,message_status,error_code,error_message,advice,timing,worker}'),
            ('{mms_worker}', 'table mms.attempts', 'UPDATE',
                '{result_id,outcome,reason,final,started_at,finished_at,next_attempt_at,request,http_status,response_headers,response_body,message_sid,message_status,error_code,error_message,advice,timing,worker,published_at,resolution,resolved_at}'),
            -- Who locks rows to delete them needs the right to update some column.
            ('{mms_operator}', 'table mms.attempts', 'UPDATE', '{published_at}'),
            ('{mms_operator}', 'table mms.attempts', 'DELETE', null),

            ('{mms_worker,mms_reader,mms_operator}', 'table mms.message_statuses', 'SELECT', null),
            ('{mms_worker}', 'table mms.message_statuses', 'INSERT',
                '{destination_id,delivery_id,attempt,message_sid,status,rank,final,advanced,error_code,error_message,reason,advice,source,parameters,worker}'),
            ('{mms_worker,mms_operator}', 'table mms.message_statuses', 'UPDATE', '{published_at}'),
            ('{mms_worker,mms_operator}', 'table mms.message_statuses', 'DELETE', null),

            ('{mms_worker,mms_reader,mms_operator}', 'table mms.open_messages', 'SELECT', null),
            ('{mms_worker}', 'table mms.open_messages', 'INSERT',
                '{destination_id,delivery_id,attempt,message_sid,opened_at,poll_at}'),
            ('{mms_worker}', 'table mms.open_messages', 'UPDATE', '{polls,poll_at}'),
            ('{mms_worker}', 'table mms.open_messages', 'DELETE', null),

            ('{mms_worker,mms_reader,mms_operator}', 'table mms.rejected_events', 'SELECT', null),
            ('{mms_worker}', 'table mms.rejected_events', 'INSERT',
                '{topic,partition,offset,event_id,destination_id,connection_id,key,bytes,reason,detail,traceparent,tracestate,worker}'),
            ('{mms_worker}', 'table mms.rejected_events', 'UPDATE',
                '{result_id,event_id,destination_id,connection_id,key,bytes,reason,detail,traceparent,tracestate,worker,rejected_at,published_at,replayed_at}'),
            ('{mms_operator}', 'table mms.rejected_events', 'UPDATE', '{replayed_at}'),
            ('{mms_operator}', 'table mms.rejected_events', 'DELETE', null),

            ('{mms_worker,mms_reader,mms_operator}', 'table mms.opt_outs', 'SELECT', null),
            ('{mms_worker}', 'table mms.opt_outs', 'INSERT',
                '{account_sid,sender,recipient,destination_id,event_id}'),
            ('{mms_operator}', 'table mms.opt_outs', 'DELETE', null),

            ('{mms_reader,mms_operator}', 'table mms.attempt_history', 'SELECT', null),
            ('{mms_reader,mms_operator}', 'table mms.destination_health', 'SELECT', null)
        ), wanted as (
            select g.role, r.object, r.privilege, c.name as column_name, false as grantable
              from rights r
             cross join unnest(r.roles) g(role)
              left join unnest(r.columns) c(name) on true
             where to_regrole(g.role) is not null
        ), acls as (
            select 'schema mms' as object, n.nspacl as acl, null::name as column_name,
                   n.nspowner as owner
              from pg_namespace n
             where n.nspname = 'mms'
             union all
            select format('table mms.%I', c.relname), c.relacl, null, c.relowner
              from pg_class c
             where c.relnamespace = 'mms'::regnamespace and c.relkind in ('r', 'v', 'S')
             union all
            select format('function %s', p.oid::regprocedure), p.proacl, null, p.proowner
              from pg_proc p
             where p.pronamespace = 'mms'::regnamespace
             union all
            select format('table mms.%I', c.relname), a.attacl, a.attname, c.relowner
              from pg_class c
              join pg_attribute a on a.attrelid = c.oid
             where c.relnamespace = 'mms'::regnamespace and a.attacl is not null
        ), granted as (
            select r.rolname::text as role, a.object, x.privilege_type as privilege,
                   a.column_name::text as column_name, x.is_grantable, x.grantor,
                   -- What these roles passed on goes with their right to do so.
                   x.grantor <> a.owner
                     and pg_get_userbyid(x.grantor) not in ('mms_worker', 'mms_reader', 'mms_operator')
                       as is_foreign
              from acls a
             cross join lateral aclexplode(a.acl) x
              join pg_roles r on r.oid = x.grantee
             where r.rolname in ('mms_worker', 'mms_reader', 'mms_operator')
        ), had as (
            select g.role, g.object, g.privilege, g.column_name, g.is_grantable
              from granted g
             where not g.is_foreign
        ), foreign_surplus as (
            select g.role, g.object, g.grantor,
                   string_agg(g.privilege
                                || coalesce(' (' || quote_ident(g.column_name) || ')', ''), ', ') as rights
              from granted g
             where g.is_foreign
               and (g.role, g.object, g.privilege, g.is_grantable, coalesce(g.column_name, ''))
                   not in (select w.role, w.object, w.privilege, w.grantable,
                                  coalesce(w.column_name, '')
                             from wanted w)
             group by 1, 2, 3
        ), different as (
            select role, object from (select * from wanted except select * from had) missing
             union
            select role, object from (select * from had except select * from wanted) surplus
        )
        select s.step, s.command
          from (select 1 as step, format('revoke all on %s from %I cascade', d.object, d.role) as command
                  from different d
                 union all
                select 2, format('grant %s%s on %s to %I', w.privilege,
                                 ' (' || string_agg(quote_ident(w.column_name), ', ') || ')',
                                 w.object, w.role)
                  from wanted w
                  join different d using (role, object)
                 group by w.role, w.object, w.privilege
                 union all
                select 3, format('%s has %s on %s from %s, which the owner can''t take back: have an '
                                 'administrator run ''set role %s; revoke %s on %s from %I; reset role;''',
                                 f.role, f.rights, f.object, f.grantor::regrole, f.grantor::regrole,
                                 f.rights, f.object, f.role)
                  from foreign_surplus f) s
         order by s.step, s.command
    loop
        if step = 3 then
            foreign_rights := foreign_rights || change;
        else
            execute change;
        end if;
    end loop;
    perform set_config('mms.foreign_rights', foreign_rights::text, true);
end
$$;

with m as (
    select role, place, to_regrole(role)::oid as id
      from unnest(array['mms_worker', 'mms_reader', 'mms_operator']) with ordinality m(role, place)
)
select format('there is no role %s, and who migrates may not make roles; if you want them, have an '
              'administrator run ''%s'', then migrate again',
              string_agg(m.role, ', ' order by m.place),
              string_agg(format('create role %I nologin;', m.role), ' ' order by m.place)) as warning
  from m
 where m.id is null
having count(*) > 0
 union all
select format('%s is a member of %s and may what that may: have an administrator run '
              '''revoke %s from %s;''', m.role, a.roleid::regrole, a.roleid::regrole, m.role)
  from m
  join pg_auth_members a on a.member = m.id
 union all
select unnest(current_setting('mms.foreign_rights')::text[])
