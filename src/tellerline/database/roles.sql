-- Run once by a superuser, before the first migration; does nothing the second time. Passwords or peer maps
-- are the site's. The owner changes the schema and is used by `tellerline migrate` alone; each daemon has a
-- role that owns nothing and may do what the migrations grant it.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['tellerline_owner', 'tellerline_session', 'tellerline_banking'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', role);
        END IF;
    END LOOP;
END $$;
