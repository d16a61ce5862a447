-- gate_lock: the row of a queue with exact limits, made when it is missing.  Who has it is alone with counting and claiming what is
-- counted; somebody else's is left alone.  The claim follows in a statement of its own, whose snapshot is newer than the lock: it
-- asks for the setting, which ends with the transaction, for a look at the row could find it free again with an old snapshot.
-- $1 queue text
-- result: queue_id text   no row: somebody else has it
-- tables: queue, gate
with i as (
	insert into taskq.gate (queue_id)
	select q.id from taskq.queue q
	where q.name = $1 and not exists (select from taskq.gate g where g.queue_id = q.id and g.grp = '')
	on conflict do nothing
	returning queue_id
),
g as materialized (
	select g.queue_id from taskq.queue q join taskq.gate g on g.queue_id = q.id and g.grp = ''
	where q.name = $1
	for update of g skip locked
)
select set_config('taskq.gate', x.queue_id::text, true) from (select i.queue_id from i union all select g.queue_id from g) x
