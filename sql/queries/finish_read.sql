-- finish_read: after finish_again, in a statement of its own: rows with my lease_id were accepted, now or by the lost first try.
-- $1 id uuid[]
-- $2 lease_id int8[]
-- result: id uuid
-- tables: done
select d.id from unnest($1, $2) u(id, lease_id) join taskq.done d on d.id = u.id and d.lease_id = u.lease_id
