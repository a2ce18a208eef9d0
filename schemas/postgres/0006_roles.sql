-- Least privilege. Who writes destinations, or takes in events, needs no rights on what the triggers
-- keep: these functions act for the owner of the tables. The roles and their rights are in roles.sql.

alter function mms.destination_changed() security definer set search_path = pg_catalog, pg_temp;
alter function mms.pacing_inserted() security definer set search_path = pg_catalog, pg_temp;
revoke execute on function mms.destination_touched(), mms.destination_changed(), mms.pacing_inserted()
    from public;
