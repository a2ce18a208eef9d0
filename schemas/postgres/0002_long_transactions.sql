-- Pacing that a long transaction doesn't slow down, and one index less on deliveries.
--
-- While somebody's transaction stays open (a dump, an analyst's query) PostgreSQL keeps every
-- version of a row that it might still want to see, and whoever looks a row up by its key walks
-- through all of them. A pacing row gets two versions a second. With the era in its key the newest
-- version is found first.

-- All locks at once, and not for long: somebody's open edit must not hold up everybody.
set local lock_timeout = '10s';
lock table mms.destinations, mms.deliveries, mms.attempts, mms.pacing in access exclusive mode;

create function mms.era() returns integer language sql volatile as
    'select (extract(epoch from clock_timestamp()) / 10)::integer';
comment on function mms.era() is 'The ten-second period that we are in, as mms.pacing.era counts them';

alter table mms.pacing
    add column era integer not null default mms.era(),
    add column pending_from timestamptz not null default '-infinity',
    drop constraint pacing_pkey,
    add primary key (destination_id, era);
comment on column mms.pacing.era is 'Ten-second period of the last change. There is one row for each destination; its newest version has the highest era, and is found without walking through older ones';
comment on column mms.pacing.pending_from is 'No delivery that is pending has a next_attempt_at before this; saves claims from walking through those that are gone';

-- The key above doesn't keep a second row for a destination out; this table does, and nothing
-- updates it often. Whoever inserts a row into pacing holds its row here, at any level of isolation.
create table mms.paced (
    destination_id text primary key
);
comment on table mms.paced is 'Destinations that have got a row in mms.pacing: keeps it one row each. Kept by a trigger';
comment on column mms.paced.destination_id is 'The destination';
insert into mms.paced select p.destination_id from mms.pacing p;

-- A second row for a destination becomes part of the first: due when either is, free when both are.
create function mms.pacing_inserted() returns trigger language plpgsql
set plan_cache_mode = force_custom_plan as $$
begin
    insert into mms.paced as k (destination_id) values (new.destination_id)
        on conflict (destination_id) do update set destination_id = excluded.destination_id;
    update mms.pacing p
       set era = greatest(p.era, mms.era()),
           next_slot_at = greatest(p.next_slot_at, new.next_slot_at),
           due_at = least(p.due_at, greatest(p.next_slot_at, p.parked_until, new.due_at)),
           pending_from = '-infinity'
     where p.destination_id = new.destination_id;
    if found then
        return null;
    end if;
    return new;
end
$$;
comment on function mms.pacing_inserted() is 'Keeps mms.pacing at one row for each destination';
create trigger pacing_inserted before insert on mms.pacing
    for each row execute function mms.pacing_inserted();
alter table mms.pacing enable always trigger pacing_inserted;

-- As before (see 0001). Plans are made afresh: thousands of destinations may come in one
-- transaction, and a plan for a table with three would read all of it for each.
create or replace function mms.destination_changed() returns trigger language plpgsql
set plan_cache_mode = force_custom_plan as $$
declare
    newest tid;
begin
    select p.ctid into newest
      from mms.pacing p
     where p.destination_id = new.id
     order by p.era desc
     limit 1
       for no key update;
    if newest is null then
        insert into mms.pacing (destination_id, due_at) values (new.id, clock_timestamp());
    else
        update mms.pacing p
           set era = greatest(p.era, mms.era()),
               parked_until = '-infinity',
               parked_reason = null,
               trouble = 0,
               due_at = least(p.due_at, greatest(p.next_slot_at, clock_timestamp())),
               pending_from = '-infinity'
         where p.ctid = newest;
    end if;
    return null;
end
$$;
-- Rows that replication or a restore brings are to be served as well.
alter table mms.destinations enable always trigger destination_touched;
alter table mms.destinations enable always trigger destination_changed;

-- A young table looks as if every row had a destination of its own; the planner then takes any index
-- that begins with it, and reads a destination's whole history. What is said here stays, whatever
-- ANALYZE sees: look-ups go by the whole key.
alter table mms.attempts alter column destination_id set (n_distinct = 100);
alter table mms.deliveries alter column destination_id set (n_distinct = 100);

-- Serves both who asks for an event and who must not take it in twice.
alter table mms.deliveries
    drop constraint deliveries_destination_id_event_id_key,
    add unique (event_id, destination_id);
drop index mms.deliveries_event;
