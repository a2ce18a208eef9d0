-- Somebody's open transaction may hold the row: who edits is told soon, and waits no longer.
set local lock_timeout = '10s'
