-- Retention finds what is due without reading what was blanked before; erasure reaches into banking's tables
-- through one function, so that the session's role needs no rights there.

CREATE INDEX turn_with_text ON session.turn (at) WHERE heard <> '' OR said <> '' OR played <> '';
CREATE INDEX handover_with_text ON session.handover (at) WHERE summary <> '';
CREATE INDEX set_aside_at ON session.set_aside (set_aside_at);

-- Removes what banking knows of these pseudonyms. Orders that were executed stay as figures (a bank must keep
-- them: GDPR Art. 17(3)(b)), less the accounts; those in doubt are counted and stay until they are settled.
CREATE FUNCTION banking.erase(subjects text[], OUT attempts bigint, OUT quotes bigint, OUT unsettled bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    blanked bigint;
BEGIN
    DELETE FROM banking.attempt a WHERE a.subject = ANY(subjects);
    GET DIAGNOSTICS attempts = ROW_COUNT;
    DELETE FROM banking.quote q WHERE q.customer = ANY(subjects)
        AND NOT EXISTS (SELECT FROM banking.execution e WHERE e.quote_id = q.quote_id);
    GET DIAGNOSTICS quotes = ROW_COUNT;
    UPDATE banking.quote q SET from_account_id = '', to_id = '', bank_quote_id = ''
    WHERE q.customer = ANY(subjects) AND q.from_account_id <> ''
        AND EXISTS (SELECT FROM banking.execution e WHERE e.quote_id = q.quote_id AND e.settled_at IS NOT NULL);
    GET DIAGNOSTICS blanked = ROW_COUNT;
    quotes := quotes + blanked;
    SELECT count(*) INTO unsettled FROM banking.quote q JOIN banking.execution e USING (quote_id)
    WHERE q.customer = ANY(subjects) AND e.settled_at IS NULL;
END $$;
REVOKE ALL ON FUNCTION banking.erase(text[]) FROM PUBLIC;
GRANT USAGE ON SCHEMA banking TO tellerline_session;
GRANT EXECUTE ON FUNCTION banking.erase(text[]) TO tellerline_session;
