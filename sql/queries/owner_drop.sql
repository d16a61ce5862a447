-- owner_drop: a row of the routing table goes; another that says less may fit then.
-- $1 queue text          as of owner_set
-- $2 kind text
-- $3 fingerprint uuid
-- $4 by text
-- $5 why text
-- $6 target text         JSON, for the audit
-- result: owner text, sla int8 (no row: there was none)
-- tables: owner, audit
with o as (
	delete from taskq.owner o where o.queue = $1 and o.kind = $2 and o.fingerprint = $3 returning o.owner, o.sla
),
a as (
	insert into taskq.audit (act, by, why, target, n) select 'owner.drop', $4, $5, $6::jsonb, 1 from o
)
select o.owner, o.sla from o
