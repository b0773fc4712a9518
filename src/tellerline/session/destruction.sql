-- blank_turns: what was said too long ago; that something was said stays
UPDATE session.turn SET heard = '', said = '', played = ''
WHERE (call_id, producer, sequence) IN (
    SELECT call_id, producer, sequence FROM session.turn
    WHERE at < now() - make_interval(days => %(days)s) AND (heard <> '' OR said <> '' OR played <> '')
    ORDER BY at LIMIT %(count)s FOR UPDATE SKIP LOCKED
);

-- blank_summaries: what agents were told too long ago
UPDATE session.handover SET summary = ''
WHERE (call_id, producer, sequence) IN (
    SELECT call_id, producer, sequence FROM session.handover
    WHERE at < now() - make_interval(days => %(days)s) AND summary <> ''
    ORDER BY at LIMIT %(count)s FOR UPDATE SKIP LOCKED
);

-- delete_set_aside: records nobody could store, and nobody looked at in all that time
DELETE FROM session.set_aside WHERE id IN (
    SELECT id FROM session.set_aside WHERE set_aside_at < now() - make_interval(days => %(days)s)
    ORDER BY id LIMIT %(count)s
);

-- destroy_recordings: the keys of recordings; without its key a file is noise in every copy
UPDATE session.recording SET wrapped_key = NULL, destroyed_at = now()
WHERE (call_id, file) IN (
    SELECT call_id, file FROM session.recording
    WHERE destroyed_at IS NULL AND wrapped_key IS NOT NULL
        AND started_at < now() - make_interval(days => %(days)s)
    ORDER BY started_at LIMIT %(count)s FOR UPDATE SKIP LOCKED
);

-- delete_calls: ended calls with all that hangs on them
DELETE FROM session.call WHERE call_id IN (
    SELECT call_id FROM session.call
    WHERE state <> 'open' AND opened_at < now() - make_interval(days => %(days)s)
    ORDER BY opened_at LIMIT %(count)s FOR UPDATE SKIP LOCKED
);

-- calls_of: the calls in which the audit knows one of these pseudonyms
SELECT DISTINCT call_id FROM audit.entry
WHERE subject = ANY(%(subjects)s) AND call_id IS NOT NULL ORDER BY call_id;

-- lock_calls: so that nothing is stored for them meanwhile
SELECT call_id, state, caller FROM session.call WHERE call_id = ANY(%(call_ids)s) ORDER BY call_id FOR UPDATE;

-- erase_turns: what was said, heard and meant
DELETE FROM session.turn WHERE call_id = ANY(%(call_ids)s);

-- erase_tool_calls: what was asked of the bank
DELETE FROM session.tool_call WHERE call_id = ANY(%(call_ids)s);

-- erase_contexts: where the conversations stood
DELETE FROM session.context WHERE call_id = ANY(%(call_ids)s);

-- erase_handovers: what agents were told
DELETE FROM session.handover WHERE call_id = ANY(%(call_ids)s);

-- erase_set_aside: records that could not be stored
DELETE FROM session.set_aside WHERE call_id = ANY(%(call_ids)s);

-- erase_recordings: the keys, in every copy of a file
UPDATE session.recording SET wrapped_key = NULL, destroyed_at = coalesce(destroyed_at, now())
WHERE call_id = ANY(%(call_ids)s) AND wrapped_key IS NOT NULL;

-- erase_calls: who called, now and when more comes (0006_erased.sql); that a call was answered stays
UPDATE session.call SET erased_at = coalesce(erased_at, now()) WHERE call_id = ANY(%(call_ids)s);

-- erase_from_banking: attempts, quotes and references to accounts
SELECT attempts, quotes, unsettled FROM banking.erase(%(subjects)s);
