-- calls_of_day: one row for every call answered on a day, by UTC; nothing that was said
SELECT kept.call_id, kept.opened_at, kept.closed_at, kept.talk_seconds, kept.state, kept.reason, kept.lane,
    kept.called, kept.caller, kept.language, turns.count AS turns, turns.slowest_ms AS slowest_answer_ms,
    coalesce(turns.intents, '') AS intents, tools.names AS bank_operations,
    EXISTS (SELECT FROM session.handover WHERE handover.call_id = kept.call_id) AS handed_over,
    kept.transfer_status, kept.recording_consent,
    EXISTS (SELECT FROM session.recording WHERE recording.call_id = kept.call_id) AS recorded,
    kept.codec, kept.attaches, kept.underrun_ticks
FROM session.call AS kept
CROSS JOIN LATERAL (
    SELECT count(*) AS count, max(voice_to_voice_ms) AS slowest_ms,
        string_agg(DISTINCT intent, ' ') FILTER (WHERE intent <> '') AS intents
    FROM session.turn WHERE turn.call_id = kept.call_id
) AS turns
CROSS JOIN LATERAL (
    SELECT coalesce(string_agg(DISTINCT tool, ' ') FILTER (WHERE NOT speculative), '') AS names
    FROM session.tool_call WHERE tool_call.call_id = kept.call_id
) AS tools
WHERE kept.opened_at >= %(day)s AND kept.opened_at < %(day)s + interval '1 day'
ORDER BY kept.opened_at, kept.call_id;
