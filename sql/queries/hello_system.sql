-- hello_system: identity of the cluster; an operator may have forbidden it.
-- result: system int8, timeline int4
select s.system_identifier, c.timeline_id from pg_control_system() s, pg_control_checkpoint() c
