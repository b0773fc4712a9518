-- The audit chain. Session and banking append to it in their own transactions; nobody changes it.

CREATE SCHEMA IF NOT EXISTS audit;
REVOKE ALL ON SCHEMA audit FROM PUBLIC;

CREATE TABLE audit.entry (
    -- From 1, without gaps: given under the lock that audit.tail() takes, so a rolled-back append leaves none.
    position bigint      PRIMARY KEY CHECK (position > 0),
    at       timestamptz NOT NULL,
    service  text        NOT NULL,
    action   text        NOT NULL,
    call_id  text,
    -- A pseudonym; never a customer number.
    subject  text,
    -- JSON as it was signed. Text, because jsonb would write it anew and the MAC would not match.
    detail   text        NOT NULL CHECK (jsonb_typeof(detail::jsonb) = 'object'),
    key_id   text        NOT NULL,
    -- MAC of the entry before; UNIQUE, so the chain cannot fork.
    previous bytea       NOT NULL UNIQUE CHECK (octet_length(previous) = 32),
    mac      bytea       NOT NULL CHECK (octet_length(mac) = 32)
);
CREATE INDEX entry_subject ON audit.entry (subject) WHERE subject IS NOT NULL;
CREATE INDEX entry_call ON audit.entry (call_id) WHERE call_id IS NOT NULL;
CREATE INDEX entry_at ON audit.entry (at);

-- The newest entry, and the right to add the next until the transaction ends. Each statement of a VOLATILE
-- function has a snapshot of its own, so the tail read after the wait is the one the last holder committed.
-- The advisory lock's number is "audit" in ASCII.
CREATE FUNCTION audit.tail(OUT newest bigint, OUT mac bytea, OUT at timestamptz, OUT isolation text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(418581342580);
    SELECT e.position, e.mac INTO newest, mac FROM audit.entry e ORDER BY e.position DESC LIMIT 1;
    at := clock_timestamp();
    isolation := current_setting('transaction_isolation');
END $$;
REVOKE ALL ON FUNCTION audit.tail() FROM PUBLIC;

-- INSERT and nothing that changes or removes. Session reads as well: operators verify the chain, look up a
-- customer's calls and keep its heads through it. Banking reads no entry back; what it needs audit.tail() tells.
GRANT USAGE ON SCHEMA audit TO tellerline_session, tellerline_banking;
GRANT EXECUTE ON FUNCTION audit.tail() TO tellerline_session, tellerline_banking;
GRANT INSERT ON audit.entry TO tellerline_session, tellerline_banking;
GRANT SELECT ON audit.entry TO tellerline_session;
