-- Every statement of the banking service, for PostgreSQL 15. One transaction a port operation, READ COMMITTED.

-- seed_attempts: A row for every subject, so that the next statement has something to lock.
INSERT INTO banking.attempt (subject, failures)
SELECT unnest(%(subjects)s::text[]), 0
ORDER BY 1
ON CONFLICT (subject) DO NOTHING;

-- lock_attempts: Failures as they count now, in one order for everybody: no two transactions wait for each other.
-- A customer's lock stays until the bank lifts it; a calling number is no person, and is free again after a day.
SELECT subject,
       CASE WHEN subject NOT LIKE 'customer_number:%%' AND last_failed_at < now() - interval '24 hours'
            THEN 0 ELSE failures END AS failures
FROM banking.attempt
WHERE subject = ANY(%(subjects)s)
ORDER BY subject
FOR UPDATE;

-- count_attempt: One more failure.
UPDATE banking.attempt SET failures = %(failures)s, last_failed_at = now() WHERE subject = %(subject)s;

-- clear_attempts: The subject starts anew.
UPDATE banking.attempt SET failures = 0 WHERE subject = %(subject)s;

-- give_back_attempts: An attempt that was no failure.
UPDATE banking.attempt SET failures = greatest(failures - 1, 0) WHERE subject = ANY(%(subjects)s);

-- raise_attempts: The bank locked the customer.
UPDATE banking.attempt SET failures = greatest(failures, %(failures)s), last_failed_at = now()
WHERE subject = %(subject)s;

-- most_failures: What is closest to a lock.
SELECT coalesce(max(failures), 0) AS failures
FROM banking.attempt
WHERE subject = ANY(%(subjects)s)
  AND (subject LIKE 'customer_number:%%' OR last_failed_at >= now() - interval '24 hours');

-- spent: What was moved, or may have been: an order in doubt counts until it is known not to have happened.
SELECT coalesce(sum(quote.amount_minor) FILTER (WHERE quote.call_id = %(call_id)s), 0)::bigint AS call,
       coalesce(sum(quote.amount_minor) FILTER (WHERE quote.customer = %(customer)s
                                                  AND execution.begun_at > now() - interval '24 hours'), 0)::bigint AS day
FROM banking.execution
JOIN banking.quote USING (quote_id)
WHERE execution.state <> 'refused' AND (quote.customer = %(customer)s OR quote.call_id = %(call_id)s);

-- keep_quote: What was read back.
INSERT INTO banking.quote (quote_id, call_id, customer, bank_quote_id, kind, from_account_id, to_id,
                           amount_minor, fee_minor, currency, valid_until, bank_valid_until)
VALUES (%(quote_id)s, %(call_id)s, %(customer)s, %(bank_quote_id)s, %(kind)s, %(from_account_id)s, %(to_id)s,
        %(amount_minor)s, %(fee_minor)s, %(currency)s, now() + make_interval(secs => %(valid_seconds)s),
        %(bank_valid_until)s);

-- quote: What was read back, and whether the caller has taken too long.
SELECT quote_id, call_id, customer, bank_quote_id, kind, from_account_id, to_id, amount_minor, fee_minor, currency,
       bank_valid_until, valid_until < clock_timestamp() AS expired
FROM banking.quote
WHERE quote_id = %(quote_id)s;

-- lock_customer: Orders of one customer one after the other: the limits are sums over rows that are not there yet.
SELECT pg_advisory_xact_lock(1651470958, hashtext(%(customer)s));

-- execution: How far an order has come.
SELECT state, reference, refusal FROM banking.execution WHERE quote_id = %(quote_id)s;

-- begin_execution: The intent, before the bank is asked.
INSERT INTO banking.execution (quote_id, idempotency_key, state, confirmed_by, sealed_customer, ask_at)
VALUES (%(quote_id)s, %(idempotency_key)s, 'begun', %(confirmed_by)s, %(sealed_customer)s,
        now() + make_interval(secs => %(ask_seconds)s));

-- doubt_execution: The bank did not say; it is asked soon.
UPDATE banking.execution
SET state = 'in_doubt', ask_at = least(ask_at, now() + interval '2 seconds')
WHERE quote_id = %(quote_id)s AND settled_at IS NULL AND state = 'begun';

-- settle_execution: What became of it, for good.
UPDATE banking.execution
SET state = %(state)s, reference = %(reference)s, refusal = %(refusal)s, settled_at = now(), sealed_customer = NULL
WHERE quote_id = %(quote_id)s AND settled_at IS NULL;

-- claim_doubts: Of several instances each asks about other orders (SKIP LOCKED), and again at growing distances.
UPDATE banking.execution AS doubt
SET asked = doubt.asked + 1,
    ask_at = now() + make_interval(secs => least(%(again_seconds)s * (doubt.asked + 1), 60))
FROM banking.quote
WHERE quote.quote_id = doubt.quote_id
  AND doubt.quote_id IN (SELECT quote_id FROM banking.execution
                         WHERE settled_at IS NULL AND ask_at <= now()
                         ORDER BY ask_at LIMIT %(count)s
                         FOR UPDATE SKIP LOCKED)
RETURNING quote.quote_id, quote.call_id, quote.customer, quote.bank_quote_id, quote.kind, quote.from_account_id,
          quote.to_id, quote.amount_minor, quote.fee_minor, quote.currency, quote.bank_valid_until,
          doubt.idempotency_key, doubt.sealed_customer,
          quote.bank_valid_until + make_interval(secs => %(margin_seconds)s) < now() AS lapsed;

-- unsettled: Orders nobody knows the outcome of.
SELECT count(*) AS count FROM banking.execution WHERE settled_at IS NULL;
