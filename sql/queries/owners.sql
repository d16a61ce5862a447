-- owners: the routing table, those that say least first.
-- $1 most int4
-- result: queue text, kind text, fingerprint uuid, owner text, sla int8
-- tables: owner
select o.queue, o.kind, o.fingerprint, o.owner, o.sla from taskq.owner o order by o.fingerprint, o.kind, o.queue limit $1
