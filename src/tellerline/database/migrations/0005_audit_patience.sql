-- Everybody who appends waits for whoever holds the chain. One whose host died in between would hold it until TCP
-- notices, hours later: the server ends it after 5 idle seconds. Who waits for longer is told so (55P03).

CREATE OR REPLACE FUNCTION audit.tail(OUT newest bigint, OUT mac bytea, OUT at timestamptz, OUT isolation text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '5s', true), set_config('lock_timeout', '8s', true);
    PERFORM pg_advisory_xact_lock(418581342580);
    SELECT e.position, e.mac INTO newest, mac FROM audit.entry e ORDER BY e.position DESC LIMIT 1;
    at := clock_timestamp();
    isolation := current_setting('transaction_isolation');
END $$;
