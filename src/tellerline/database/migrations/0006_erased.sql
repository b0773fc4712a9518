-- What was erased stays so: records of an erased call may still lie in a spool, and are counted when they come,
-- but nothing of their content is kept.

ALTER TABLE session.call ADD COLUMN erased_at timestamptz;

CREATE FUNCTION session.pass_over_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM session.call c WHERE c.call_id = NEW.call_id AND c.erased_at IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pass_over_erased BEFORE INSERT ON session.turn
    FOR EACH ROW EXECUTE FUNCTION session.pass_over_erased();
CREATE TRIGGER pass_over_erased BEFORE INSERT ON session.tool_call
    FOR EACH ROW EXECUTE FUNCTION session.pass_over_erased();
CREATE TRIGGER pass_over_erased BEFORE INSERT ON session.context
    FOR EACH ROW EXECUTE FUNCTION session.pass_over_erased();
CREATE TRIGGER pass_over_erased BEFORE INSERT ON session.handover
    FOR EACH ROW EXECUTE FUNCTION session.pass_over_erased();
CREATE TRIGGER pass_over_erased BEFORE INSERT ON session.set_aside
    FOR EACH ROW EXECUTE FUNCTION session.pass_over_erased();

-- A recording leaves its row, so that its file is found and removed; never its key.
CREATE FUNCTION session.keep_no_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.wrapped_key IS NOT NULL
        AND EXISTS (SELECT FROM session.call c WHERE c.call_id = NEW.call_id AND c.erased_at IS NOT NULL) THEN
        NEW.wrapped_key := NULL;
        NEW.destroyed_at := coalesce(NEW.destroyed_at, now());
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_no_key BEFORE INSERT OR UPDATE ON session.recording
    FOR EACH ROW EXECUTE FUNCTION session.keep_no_key();

CREATE FUNCTION session.keep_nobody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.caller := '';
    NEW.sip_call_id := '';
    NEW.language := '';
    NEW.recording_consent := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_nobody BEFORE UPDATE ON session.call
    FOR EACH ROW WHEN (NEW.erased_at IS NOT NULL) EXECUTE FUNCTION session.keep_nobody();
