-- Which of these messages belong to an attempt already, or were reported as one's: their places in
-- the array, from 1.
-- $1 message_sid (array)
select u.place::int4
  from unnest($1::text[]) with ordinality as u(message_sid, place)
 where exists (select 1
                 from mms.attempts a
                where a.message_sid = u.message_sid and a.message_sid is not null)
    or exists (select 1
                 from mms.message_statuses s
                where s.message_sid = u.message_sid)
