-- writer_new: the identity of this life of a process.
-- result: writer int4
select nextval('taskq.writer')::int4
