-- lane_find: lanes of a queue, a task type or both, for the filters of a list.
-- $1 queue text          null: any
-- $2 kind text           null: any
-- result: id int4
-- tables: lane, queue, kind
select l.id from taskq.lane l join taskq.queue q on q.id = l.queue_id join taskq.kind k on k.id = l.kind_id
where ($1 is null or q.name = $1) and ($2 is null or k.name = $2)
