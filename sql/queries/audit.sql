-- audit: an act of an operator, told in the same transaction as what it did.  A statement that alone knows how many it acted on, or whether
-- on any, has this insert as a part of its own instead (cancel_waiting, retry_dead, pause_add).
-- $1 act text
-- $2 by text
-- $3 why text
-- $4 target text         JSON: on what
-- $5 n int8              how many
-- tables: audit
insert into taskq.audit (act, by, why, target, n) values ($1, $2, $3, $4::jsonb, $5)
