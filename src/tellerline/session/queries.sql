-- Every statement of the session service. Each begins with its name and what it is for.

-- ensure_calls: a row for calls heard of for the first time, and a lock on each: appends to one call wait for
-- each other, so its events keep their order. Sorted, against deadlocks; a WHERE that fails still locks.
INSERT INTO session.call AS kept (call_id, lane, opened_at, lease_until)
SELECT new.call_id, new.lane, new.at, now() + make_interval(secs => %(lease_seconds)s)
FROM unnest(%(call_ids)s::text[], %(lanes)s::text[], %(ats)s::timestamptz[]) AS new (call_id, lane, at)
ORDER BY new.call_id
ON CONFLICT (call_id) DO UPDATE SET lane = kept.lane WHERE false;

-- insert_records: once for each call, producer and sequence; returns those that were not known
INSERT INTO session.record (call_id, producer, sequence, kind, at)
SELECT * FROM unnest(%(call_ids)s::text[], %(producers)s::text[], %(sequences)s::bigint[], %(kinds)s::text[],
    %(ats)s::timestamptz[])
ON CONFLICT DO NOTHING RETURNING call_id, producer, sequence;

-- call_opened: what the connector knows at the answer
UPDATE session.call SET sip_call_id = %(sip_call_id)s, lane = %(lane)s, caller = %(caller)s,
    called = %(called)s, opened_at = %(at)s
WHERE call_id = %(call_id)s;

-- call_closed: how it ended; overrules a call given up for lost
UPDATE session.call SET state = 'closed', reason = %(reason)s, closed_at = %(at)s,
    talk_seconds = %(talk_seconds)s, codec = %(codec)s, attaches = %(attaches)s, digits = %(digits)s,
    underrun_ticks = %(underrun_ticks)s, transfer_status = %(transfer_status)s
WHERE call_id = %(call_id)s;

-- turn_taken: what was heard, said and played, redacted
INSERT INTO session.turn (call_id, producer, sequence, at, turn_id, language, heard, said, played, interrupted,
    intent, probability, understood_by, voice_to_voice_ms)
VALUES (%(call_id)s, %(producer)s, %(sequence)s, %(at)s, %(turn_id)s, %(language)s, %(heard)s, %(said)s,
    %(played)s, %(interrupted)s, %(intent)s, %(probability)s, %(understood_by)s, %(voice_to_voice_ms)s);

-- tool_called: an operation of the bank
INSERT INTO session.tool_call (call_id, producer, sequence, at, tool, outcome, speculative, took_ms)
VALUES (%(call_id)s, %(producer)s, %(sequence)s, %(at)s, %(tool)s, %(outcome)s, %(speculative)s, %(took_ms)s);

-- context_saved: the newest wins, in whatever order they come; a call that ended needs none
INSERT INTO session.context AS kept (call_id, producer, sequence, at, phase, language, state_json)
SELECT call_id, %(producer)s, %(sequence)s, %(at)s, %(phase)s, %(language)s, %(state_json)s
FROM session.call WHERE call_id = %(call_id)s AND state <> 'closed'
ON CONFLICT (call_id) DO UPDATE SET producer = excluded.producer, sequence = excluded.sequence,
    at = excluded.at, phase = excluded.phase, language = excluded.language,
    state_json = excluded.state_json, saved_at = now()
WHERE (kept.at, kept.producer, kept.sequence) < (excluded.at, excluded.producer, excluded.sequence);

-- call_language: the last one spoken
UPDATE session.call SET language = %(language)s
WHERE call_id = %(call_id)s AND language <> %(language)s AND %(language)s <> '';

-- consent_given: to being recorded
UPDATE session.call SET recording_consent = %(recording)s WHERE call_id = %(call_id)s;

-- handed_over: what the agent's desktop asks for by reference
INSERT INTO session.handover (call_id, producer, sequence, at, reference, target, summary)
VALUES (%(call_id)s, %(producer)s, %(sequence)s, %(at)s, %(reference)s, %(target)s, %(summary)s);

-- recording_started: where it lies, and its wrapped key; one whose key was destroyed keeps none
INSERT INTO session.recording AS kept (call_id, file, host, wrapped_key, key_id, started_at)
VALUES (%(call_id)s, %(file)s, %(host)s, %(wrapped_key)s, %(key_id)s, %(at)s)
ON CONFLICT (call_id, file) DO UPDATE SET host = excluded.host, key_id = excluded.key_id,
    wrapped_key = CASE WHEN kept.destroyed_at IS NULL THEN excluded.wrapped_key END,
    started_at = excluded.started_at;

-- recording_ended: its length
INSERT INTO session.recording (call_id, file, started_at, ended_at, seconds, bytes, complete)
VALUES (%(call_id)s, %(file)s, %(at)s, %(at)s, %(seconds)s, %(bytes)s, %(complete)s)
ON CONFLICT (call_id, file) DO UPDATE SET ended_at = excluded.ended_at, seconds = excluded.seconds,
    bytes = excluded.bytes, complete = excluded.complete;

-- forget_context: the conversation is over
DELETE FROM session.context WHERE call_id = %(call_id)s;

-- tell: events of the outbox, and newer versions of their calls
WITH told AS (
    INSERT INTO session.outbox (call_id, kind)
    SELECT event.call_id, event.kind
    FROM unnest(%(call_ids)s::text[], %(kinds)s::text[]) WITH ORDINALITY AS event (call_id, kind, place)
    ORDER BY event.place
)
UPDATE session.call SET version = version + 1 WHERE call_id = ANY(%(call_ids)s);

-- set_aside: kept for a person to look at
INSERT INTO session.set_aside (call_id, producer, sequence, kind, reason, record)
VALUES (%(call_id)s, %(producer)s, %(sequence)s, %(kind)s, %(reason)s, %(record)s)
ON CONFLICT DO NOTHING;

-- count_set_aside: for the alarm
SELECT count(*) FROM session.set_aside;

-- lease: the lane lives
INSERT INTO session.lease (lane, calls, taken_at, lease_until)
VALUES (%(lane)s, cardinality(%(call_ids)s::text[]), now(), now() + make_interval(secs => %(seconds)s))
ON CONFLICT (lane) DO UPDATE SET calls = excluded.calls, taken_at = excluded.taken_at,
    lease_until = excluded.lease_until;

-- lease_calls: these calls live; one given up for lost is open again
UPDATE session.call SET lease_until = greatest(lease_until, now() + make_interval(secs => %(seconds)s)),
    state = 'open', closed_at = NULL, reason = CASE state WHEN 'lost' THEN '' ELSE reason END
WHERE call_id = ANY(%(call_ids)s) AND state <> 'closed';

-- found_again: of these calls, those that were given up
SELECT call_id FROM session.call WHERE call_id = ANY(%(call_ids)s) AND state = 'lost' ORDER BY call_id;

-- recordings_of: files of a host, and whether they can still be opened
SELECT file, destroyed_at IS NULL AS has_key FROM session.recording
WHERE host = %(host)s AND file = ANY(%(files)s);

-- close_orphans: open calls no lane vouches for any longer
UPDATE session.call SET state = 'lost', reason = 'lost', closed_at = now()
WHERE call_id IN (
    SELECT call_id FROM session.call WHERE state = 'open' AND lease_until < now()
    ORDER BY call_id FOR UPDATE SKIP LOCKED
)
RETURNING call_id, lane;

-- purge_contexts: what conversations held that ended without a word
DELETE FROM session.context WHERE saved_at < now() - make_interval(secs => %(ttl_seconds)s);

-- take_events: the oldest ones, for the stream; one instance at a time, so that they keep their order
DELETE FROM session.outbox WHERE id IN (SELECT id FROM session.outbox ORDER BY id LIMIT %(count)s)
RETURNING id, call_id, kind;

-- relay_turn: whether this instance may relay until its transaction ends; a crash that undoes the relaying has
-- events told twice, which harms nobody, so it waits for no disk
SELECT pg_try_advisory_xact_lock(7331004218) AS mine, set_config('synchronous_commit', 'off', true);

-- outbox_lag: seconds the oldest event has waited
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::double precision FROM session.outbox;

-- calls: all that the views show of these calls
SELECT call.call_id, call.lane, call.state, call.reason, call.opened_at, call.closed_at, call.version,
    coalesce(context.language, call.language) AS language,
    coalesce(context.phase, '') AS phase,
    coalesce(context.state_json, '') AS state_json,
    coalesce(turns.count, 0) AS turns,
    coalesce(turns.intents, '{}') AS intents,
    coalesce(handover.summary, '') AS handover_summary,
    coalesce(latest.turns, '[]') AS last_turns
FROM session.call
LEFT JOIN session.context USING (call_id)
LEFT JOIN LATERAL (
    SELECT count(*) AS count,
        (SELECT array_agg(named.intent ORDER BY named.first, named.place) FROM (
            SELECT intent, min(at) AS first, min(sequence) AS place FROM session.turn
            WHERE turn.call_id = call.call_id AND intent <> '' GROUP BY intent
        ) AS named) AS intents
    FROM session.turn WHERE turn.call_id = call.call_id
) AS turns ON true
LEFT JOIN LATERAL (
    SELECT summary FROM session.handover WHERE handover.call_id = call.call_id
    ORDER BY at DESC, sequence DESC LIMIT 1
) AS handover ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(last.heard, last.played) ORDER BY last.at, last.producer, last.sequence)
        AS turns
    FROM (
        SELECT heard, played, at, producer, sequence FROM session.turn
        WHERE turn.call_id = call.call_id ORDER BY at DESC, producer DESC, sequence DESC LIMIT 20
    ) AS last
) AS latest ON true
WHERE call.call_id = ANY(%(call_ids)s);

-- open_calls: by age
SELECT call_id FROM session.call WHERE state = 'open' ORDER BY opened_at LIMIT 10000;

-- recent_calls: open, or ended within the time views are kept
SELECT call_id FROM session.call
WHERE state = 'open' OR closed_at > now() - make_interval(secs => %(ttl_seconds)s)
ORDER BY opened_at;

-- call_of_reference: the call an agent's desktop asks for
SELECT call_id FROM session.handover WHERE reference = %(reference)s ORDER BY at DESC LIMIT 1;
