-- Which of these messages belong to an attempt already.
-- $1 message_sid (array)
select a.message_sid
  from mms.attempts a
 where a.message_sid = any($1::text[])
