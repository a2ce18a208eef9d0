-- Pacing that a long transaction doesn't slow down, and one index less on deliveries.
--
-- While somebody's transaction stays open (a dump, an analyst's query) PostgreSQL keeps every
-- version of a row that it might still want to see, and whoever looks a row up by its key walks
-- through all of them. A pacing row gets two versions a second. With the era in its key the newest
-- version is found first.

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

-- Makes the row of a destination that has none, due at once. The advisory lock lets only one do so:
-- the key doesn't. A lock on the destination would wait for whoever is editing it.
create function mms.make_pacing(id text) returns boolean language plpgsql as $$
begin
    perform pg_advisory_xact_lock(7171443, hashtext(id));
    update mms.pacing p
       set due_at = least(p.due_at, greatest(p.next_slot_at, p.parked_until, clock_timestamp())),
           pending_from = '-infinity'
     where p.destination_id = id;
    if not found then
        insert into mms.pacing (destination_id, due_at) values (id, clock_timestamp());
    end if;
    return true;
end
$$;
comment on function mms.make_pacing(text) is 'Makes the pacing row of a destination, or wakes it if there is one';

-- As before (see 0001). Nobody else can make the row of a destination that isn't committed yet, so
-- a new one needs no lock; thousands may come in one transaction.
create or replace function mms.destination_changed() returns trigger language plpgsql as $$
declare
    newest tid;
begin
    select p.ctid into newest
      from mms.pacing p
     where p.destination_id = new.id
     order by p.era desc
     limit 1
       for no key update;
    if newest is null and tg_op = 'INSERT' then
        insert into mms.pacing (destination_id, due_at) values (new.id, clock_timestamp());
        return null;
    elsif newest is null then
        perform mms.make_pacing(new.id);
        return null;
    end if;
    update mms.pacing p
       set era = greatest(p.era, mms.era()),
           parked_until = '-infinity',
           parked_reason = null,
           trouble = 0,
           due_at = least(p.due_at, greatest(p.next_slot_at, clock_timestamp())),
           pending_from = '-infinity'
     where p.ctid = newest;
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
