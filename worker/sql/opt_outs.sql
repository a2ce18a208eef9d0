-- Which of these requests would go to a recipient who has opted out from their sender, and since
-- when: their places in the array, from 1.
-- $1 request, as evidence has it (array)
select r.place::int4, o.since
  from unnest($1::json[]) with ordinality as r(request, place)
  join mms.opt_outs o
    on o.account_sid = substring(r.request ->> 'url' from '/Accounts/([^/]+)/')
       and o.sender = coalesce(r.request -> 'parameters' ->> 'MessagingServiceSid',
                               r.request -> 'parameters' ->> 'From')
       and o.recipient = r.request -> 'parameters' ->> 'To'
