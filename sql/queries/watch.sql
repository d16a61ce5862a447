-- watch: when something is due, all of the keeper's looks in one; whoever acts on what it tells looks again.
-- $1 silence int8        microseconds after which a worker counts as silent: as in worker_silent
-- result: promote int8 (microseconds until it is due, negative: since when; null: nothing is), lapse int8, expire int8, silent bool,
--         clock int8, paused int8 (changes when what is paused does), sweep int8,
--         letters bool (one is to be filed, or its resolution to be counted), causes int8 (changes when what is known of causes with open letters, or
--         an owner, does; 0: there is none of either)
-- tables: waiting, lease, expiry, worker, pause, sweep, dead, cause_delta, cause, owner
select
	(select (extract(epoch from w.due_at - now()) * 1000000)::int8 from taskq.waiting w order by w.due_at limit 1) promote,
	(select (extract(epoch from l.until - now()) * 1000000)::int8 from taskq.lease l where l.until is not null order by l.until limit 1) lapse,
	(select (extract(epoch from x.at - now()) * 1000000)::int8 from taskq.expiry x order by x.at limit 1) expire,
	exists (
		-- the last version of each, without those before it
		with recursive h as (
			(select w.inc, w.seen from taskq.worker w order by w.inc desc, w.seq desc limit 1)
			union all
			select n.inc, n.seen
			from h
			cross join lateral (
				select w.inc, w.seen from taskq.worker w where w.inc < h.inc order by w.inc desc, w.seq desc limit 1
			) n
		)
		select from h where h.seen < now() - $1 * interval '1 microsecond' or h.seen > now() + $1 * interval '1 microsecond'
	) or exists (
		-- the owners of leases, each found by its last one
		with recursive o as (
			(select l.worker from taskq.lease l where l.worker > 0 order by l.worker desc limit 1)
			union all
			select n.worker
			from o
			cross join lateral (
				select l.worker from taskq.lease l where l.worker > 0 and l.worker < o.worker order by l.worker desc limit 1
			) n
		)
		select from o where (select w.inc from taskq.worker w where w.inc = o.worker order by w.seq desc limit 1) is null
	) silent,
	(extract(epoch from clock_timestamp()) * 1000000)::int8 clock,
	(select coalesce(bit_xor(hashtextextended(p.name, p.what)), 0) from taskq.pause p) paused,
	(select (extract(epoch from s.due_at - now()) * 1000000)::int8 from taskq.sweep s where s.state = 1 or s.in_flight > 0 order by s.due_at limit 1) sweep,
	exists (select from taskq.dead d where d.cause is null) or exists (select from taskq.cause_delta) letters,
	(
		select coalesce(bit_xor(hash_record_extended(row(c.id, c.changed_at, c.seen_at, c.due_at, c.escalate_at, c.escalated_at), 0)), 0)
		from taskq.cause c where c.id > 0 and c.open > 0
	) # (select coalesce(bit_xor(hash_record_extended(row(o.id, o.owner, o.sla), 0)), 0) from taskq.owner o where o.id > 0) causes
