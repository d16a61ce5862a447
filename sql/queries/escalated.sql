-- escalated: whether somebody could be told that a cause is overdue.
-- $1 cause int4
-- $2 at timestamptz      when it was given out; null: nobody could be told, another try follows
-- tables: cause
update taskq.cause c set escalated_at = coalesce($2, c.escalated_at),
	escalate_tries = case when $2 is null then least(c.escalate_tries + 1, 30) else 0 end,
	escalate_at = case when $2 is null then now() + least(2 ^ c.escalate_tries, 300) * interval '1 second' end
where c.id = $1
