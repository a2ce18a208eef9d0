-- Makes the pacing rows that are missing (their destinations came past the trigger): none, mostly.
-- $1 destination_id (array)
select mms.make_pacing(d.id)
  from mms.destinations d
 where d.id = any($1::text[]) and d.type = 'TWILIO_MMS'
   and not exists (select 1
                     from (select 1
                             from mms.pacing p
                            where p.destination_id = d.id
                            order by p.era desc
                            limit 1) newest)
