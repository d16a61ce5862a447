-- purge_plan: before purge_keys, in the same transaction: its BRIN index is read by a bitmap.
-- result: on text
select set_config('enable_bitmapscan', 'on', true)
