-- tried_read: after a repetition of retry or bury: rows of my lease were written, now or by the lost first try.
-- $1 id uuid[]
-- $2 lease_id int8[]
-- result: id uuid
-- tables: tried
select r.id from unnest($1, $2) u(id, lease_id) join taskq.tried r on r.id = u.id and r.lease_id = u.lease_id
