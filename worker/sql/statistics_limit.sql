-- Before statistics.sql, in its transaction: what takes longer than this isn't worth it.
select set_config('statement_timeout', '5s', true)
