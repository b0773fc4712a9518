-- listed: records that lie aside, by their ids or all of them
SELECT id, call_id, producer, sequence::text AS sequence, kind, reason, record, set_aside_at
FROM session.set_aside WHERE %(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s::bigint[]) ORDER BY id;

-- delete: stored by now, or given up
DELETE FROM session.set_aside WHERE id = %(id)s;
