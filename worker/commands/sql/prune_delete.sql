-- Deletes deliveries and what belongs to them; all of it is locked (prune_lock_more.sql).
-- $1 places of deliveries, $2 of their attempts, $3 of their message_statuses
with attempts as (
    delete from mms.attempts a where a.ctid = any($2::tid[]) returning 1
), statuses as (
    delete from mms.message_statuses m where m.ctid = any($3::tid[]) returning 1
), deliveries as (
    delete from mms.deliveries d where d.ctid = any($1::tid[]) returning 1
)
select (select count(*) from deliveries) as deliveries, (select count(*) from attempts) as attempts,
       (select count(*) from statuses) as message_statuses
