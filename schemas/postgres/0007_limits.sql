-- Bounds: a claim takes so many bytes of events at most, and settings of a destination have an end.

set local lock_timeout = '10s';
lock table mms.destinations, mms.deliveries in access exclusive mode;

-- How large an event is can't be told without unpacking it, and a claim must not unpack what it leaves behind.
alter table mms.deliveries add column event_bytes integer;
comment on column mms.deliveries.event_bytes is 'Length of the event in bytes; null if it was taken in before this was noted';

comment on column mms.rejected_events.key is 'The record''s key, as it came; of more than 16 MiB the beginning';
comment on column mms.rejected_events.bytes is 'The record''s value, as it came; of more than 16 MiB the beginning, as detail says; null for a tombstone';

-- A claim carries the settings of each of its destinations. Rows that are larger already stay as they are; the
-- worker refuses them (CONFIG_INVALID).
alter table mms.destinations
    add constraint destinations_config_size check (octet_length(config::text) <= 65536) not valid;
