-- What pacing_lock.sql does, for the destinations of a claim that is undone.
-- $1 the claim
select count(*)
  from (select distinct s.destination_id
          from mms.deliveries s
         where s.state = 'sending' and s.claim = $1::text::uuid
         order by 1) k
 cross join lateral (
       select 1
         from mms.pacing p
        where p.destination_id = k.destination_id
        order by p.era desc
        limit 1
          for no key update) locked
