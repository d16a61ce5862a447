-- 0007 keys: the purge walks over their pages and needs no index of their times.
--
-- A page range of a BRIN index never forgets its oldest time: once new keys lie where purged ones lay, it excludes nothing.

drop index taskq.idem_expires;
