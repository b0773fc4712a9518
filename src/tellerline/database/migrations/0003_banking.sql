-- Failed PINs, quotes and executions of orders. Customers appear as pseudonyms (HMAC under a key outside the
-- database); names, numbers and digits not at all.

CREATE SCHEMA IF NOT EXISTS banking;
GRANT USAGE ON SCHEMA banking TO tellerline_banking;

-- Failures since the last success, per customer number and per calling number.
CREATE TABLE banking.attempt (
    subject        text PRIMARY KEY CHECK (subject ~ '^(customer_number|caller|call):[0-9a-f]{32}$'),
    failures       smallint NOT NULL CHECK (failures >= 0),
    last_failed_at timestamptz NOT NULL DEFAULT now()
);

-- What a caller was read: an order in the bank's own figures. Written once, never changed.
CREATE TABLE banking.quote (
    quote_id         uuid PRIMARY KEY,
    call_id          text NOT NULL,
    customer         text NOT NULL,
    bank_quote_id    text NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('transfer', 'bill')),
    from_account_id  text NOT NULL,
    -- Payee, own account or bill: the bank's reference.
    to_id            text NOT NULL,
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    fee_minor        bigint NOT NULL CHECK (fee_minor >= 0),
    currency         char(3) NOT NULL,
    quoted_at        timestamptz NOT NULL DEFAULT now(),
    -- Until when the caller may confirm, by this database's clock.
    valid_until      timestamptz NOT NULL,
    -- Until when the bank would execute it, by the bank's clock.
    bank_valid_until timestamptz NOT NULL
);
CREATE INDEX quote_customer ON banking.quote (customer, quoted_at);
CREATE INDEX quote_call ON banking.quote (call_id);

-- The intent to execute a quote, committed before the bank is asked, and what became of it. The primary key
-- is what makes a quote's token good for one use.
CREATE TABLE banking.execution (
    quote_id         uuid PRIMARY KEY REFERENCES banking.quote,
    idempotency_key  text NOT NULL UNIQUE,
    state            text NOT NULL CHECK (state IN ('begun', 'in_doubt', 'executed', 'refused')),
    confirmed_by     text NOT NULL CHECK (confirmed_by IN ('keypad', 'voice')),
    begun_at         timestamptz NOT NULL DEFAULT now(),
    -- The customer's reference at the bank, encrypted, while the bank may have to be asked; NULL once settled.
    sealed_customer  bytea,
    ask_at           timestamptz NOT NULL,
    asked            integer NOT NULL DEFAULT 0,
    reference        text NOT NULL DEFAULT '',
    refusal          text NOT NULL DEFAULT '',
    settled_at       timestamptz,
    CHECK ((state IN ('executed', 'refused')) = (settled_at IS NOT NULL)),
    CHECK (settled_at IS NULL OR sealed_customer IS NULL)
);
CREATE INDEX execution_unsettled ON banking.execution (ask_at) WHERE settled_at IS NULL;

-- What is settled stays so, whoever asks.
CREATE FUNCTION banking.keep_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'execution % is settled', OLD.quote_id USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER keep_settled BEFORE UPDATE ON banking.execution
    FOR EACH ROW WHEN (OLD.settled_at IS NOT NULL) EXECUTE FUNCTION banking.keep_settled();

GRANT SELECT, INSERT ON banking.attempt, banking.quote, banking.execution TO tellerline_banking;
GRANT UPDATE (failures, last_failed_at) ON banking.attempt TO tellerline_banking;
GRANT UPDATE (state, sealed_customer, ask_at, asked, reference, refusal, settled_at)
    ON banking.execution TO tellerline_banking;
