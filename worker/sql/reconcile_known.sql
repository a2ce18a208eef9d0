-- Which of these messages belong to an attempt already: their places in the array, from 1.
-- $1 message_sid (array)
select u.place::int4
  from unnest($1::text[]) with ordinality as u(message_sid, place)
  join mms.attempts a on a.message_sid = u.message_sid and a.message_sid is not null
