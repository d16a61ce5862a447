-- seen_end: what was said of causes ends with their last letter.
-- result: id int4
-- tables: cause, dead
with c as materialized (
	select c.id from taskq.cause c
	where (c.seen_by is not null or c.escalated_at is not null)
	and not exists (select from taskq.dead d where d.cause = c.id and d.resolution is null)
	order by c.id limit 100
	for update of c skip locked
)
update taskq.cause y set seen_by = null, seen_at = null, note = null, due_at = null, escalated_at = null, escalate_at = null, escalate_tries = 0
from c where y.id = c.id
returning y.id
