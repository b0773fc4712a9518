-- Calls, turns and what else the session service keeps. Texts of callers arrive here redacted.

CREATE SCHEMA session;
REVOKE ALL ON SCHEMA session FROM PUBLIC;
GRANT USAGE ON SCHEMA session TO tellerline_session;

-- One row for every answered call.
CREATE TABLE session.call (
    call_id           text PRIMARY KEY,
    sip_call_id       text NOT NULL DEFAULT '',
    lane              text NOT NULL DEFAULT '',
    caller            text NOT NULL DEFAULT '',
    called            text NOT NULL DEFAULT '',
    state             text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'lost')),
    reason            text NOT NULL DEFAULT '',
    opened_at         timestamptz NOT NULL,
    closed_at         timestamptz,
    talk_seconds      double precision,
    codec             text NOT NULL DEFAULT '',
    attaches          integer NOT NULL DEFAULT 0,
    digits            integer NOT NULL DEFAULT 0,
    underrun_ticks    integer NOT NULL DEFAULT 0,
    transfer_status   integer NOT NULL DEFAULT 0,
    language          text NOT NULL DEFAULT '',
    recording_consent boolean,
    -- By this database's clock; an open call nobody vouches for any longer is lost.
    lease_until       timestamptz NOT NULL,
    -- Counts the changes, so that of two views of the call the newer one is known.
    version           bigint NOT NULL DEFAULT 1,
    CHECK ((state = 'open') = (closed_at IS NULL))
);
CREATE INDEX call_open ON session.call (lease_until) WHERE state = 'open';
CREATE INDEX call_opened_at ON session.call (opened_at);
CREATE INDEX call_caller ON session.call (caller);

-- Every record that was stored, once. Its content is in the table of its kind.
CREATE TABLE session.record (
    call_id   text NOT NULL REFERENCES session.call ON DELETE CASCADE,
    producer  text NOT NULL,
    sequence  bigint NOT NULL CHECK (sequence > 0),
    kind      text NOT NULL,
    at        timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (call_id, producer, sequence)
);

CREATE TABLE session.turn (
    call_id           text NOT NULL REFERENCES session.call ON DELETE CASCADE,
    producer          text NOT NULL,
    sequence          bigint NOT NULL,
    at                timestamptz NOT NULL,
    turn_id           bigint NOT NULL,
    language          text NOT NULL,
    heard             text NOT NULL,
    said              text NOT NULL,
    played            text NOT NULL,
    interrupted       boolean NOT NULL,
    intent            text NOT NULL,
    probability       double precision NOT NULL,
    understood_by     text NOT NULL,
    voice_to_voice_ms integer NOT NULL,
    PRIMARY KEY (call_id, producer, sequence)
);
CREATE INDEX turn_at ON session.turn (at);

CREATE TABLE session.tool_call (
    call_id     text NOT NULL REFERENCES session.call ON DELETE CASCADE,
    producer    text NOT NULL,
    sequence    bigint NOT NULL,
    at          timestamptz NOT NULL,
    tool        text NOT NULL,
    outcome     text NOT NULL,
    speculative boolean NOT NULL,
    took_ms     integer NOT NULL,
    PRIMARY KEY (call_id, producer, sequence)
);

-- Where a conversation stands: the last one saved, gone with the call.
CREATE TABLE session.context (
    call_id    text PRIMARY KEY REFERENCES session.call ON DELETE CASCADE,
    producer   text NOT NULL,
    sequence   bigint NOT NULL,
    at         timestamptz NOT NULL,
    phase      text NOT NULL,
    language   text NOT NULL,
    state_json text NOT NULL,
    saved_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX context_saved_at ON session.context (saved_at);

CREATE TABLE session.handover (
    call_id   text NOT NULL REFERENCES session.call ON DELETE CASCADE,
    producer  text NOT NULL,
    sequence  bigint NOT NULL,
    at        timestamptz NOT NULL,
    reference text NOT NULL,
    target    text NOT NULL,
    summary   text NOT NULL,
    PRIMARY KEY (call_id, producer, sequence)
);
CREATE INDEX handover_reference ON session.handover (reference);

-- Recordings lie encrypted on connectors' hosts; without its key one is noise. A destroyed key leaves the row.
CREATE TABLE session.recording (
    call_id      text NOT NULL REFERENCES session.call ON DELETE CASCADE,
    file         text NOT NULL,
    host         text NOT NULL DEFAULT '',
    wrapped_key  bytea,
    key_id       text NOT NULL DEFAULT '',
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    seconds      double precision,
    bytes        bigint,
    complete     boolean,
    destroyed_at timestamptz,
    PRIMARY KEY (call_id, file)
);
CREATE INDEX recording_started_at ON session.recording (started_at) WHERE destroyed_at IS NULL;

CREATE TABLE session.lease (
    lane        text PRIMARY KEY,
    calls       integer NOT NULL,
    taken_at    timestamptz NOT NULL,
    lease_until timestamptz NOT NULL
);

-- Records that could not be stored whatever was done; texts redacted. Someone has to look.
CREATE TABLE session.set_aside (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id   text NOT NULL,
    producer  text NOT NULL,
    sequence  numeric(20) NOT NULL,
    kind      text NOT NULL,
    reason    text NOT NULL,
    record    bytea NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (call_id, producer, sequence)
);

-- Events written in the transaction of what they tell of, on their way to the Redis stream.
CREATE TABLE session.outbox (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id text NOT NULL,
    kind    text NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Retention and erasure need DELETE; what was said and done is never changed, so no UPDATE on it except to
-- blank texts that are too old.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    session.call, session.context, session.lease, session.recording TO tellerline_session;
GRANT SELECT, INSERT, DELETE ON
    session.record, session.turn, session.tool_call, session.handover, session.set_aside, session.outbox
    TO tellerline_session;
GRANT UPDATE (heard, said, played) ON session.turn TO tellerline_session;
GRANT UPDATE (summary) ON session.handover TO tellerline_session;
