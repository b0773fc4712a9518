"""What is kept goes: by age, and by request; and the audit says so without saying who."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import psycopg
import redis
from records import append, closed, context, eventually, opened, record, rows, summary, turn

from tellerline import audit, embedded, settings
from tellerline.database import postgres
from tellerline.rpc import session_pb2 as pb

_CUSTOMER_ID, _CUSTOMER_NUMBER = "CUST-4711", "20011998"
_CALLER = "4930123"
_MARKS = ("aubergine", _CALLER, _CUSTOMER_ID, _CUSTOMER_NUMBER, "ACC-OF-4711", "PAYEE-OF-4711", "wrapped-key")
_TABLES = """
SELECT schemaname || '.' || tablename FROM pg_tables
WHERE schemaname IN ('session', 'banking', 'audit', 'public') ORDER BY 1
"""


def tellerline(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as an operator would."""
    command = (sys.executable, "-m", "tellerline", *words)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "USER": "ops"}
    )


async def hold(client: Any, call_id: str, word: str) -> None:
    """A call of everything that can be stored, in which `word` is said."""
    key = pb.RecordingStarted(file=f"{call_id}.tlr", host="gpu1", wrapped_key=b"wrapped-key", key_id="1")
    handover = pb.HandedOver(reference=call_id[:8], target="sip:agent@bank", summary=f"about {word}")
    reply = await append(
        client,
        opened(call_id),
        turn(call_id, 1, heard=f"I like {word}"),
        context(call_id, 2, "transfer"),
        record(call_id, 3, handed_over=handover),
        record(call_id, 4, tool_called=pb.ToolCalled(tool="balance", outcome="done", took_ms=5)),
        record(call_id, 5, "connector@cpu-0", recording_started=key),
    )
    assert (reply.stored, len(reply.set_aside)) == (6, 0)


def everything(fresh: embedded.Fresh) -> dict[str, str]:
    """Every row of every table as text, and every value in Redis."""
    held = {}
    for (table,) in rows(fresh, _TABLES):
        held[table] = "\n".join(text for (text,) in rows(fresh, f"SELECT t::text FROM {table} t"))
    chosen = fresh.redis("admin")
    assert chosen.password is not None
    password = chosen.password.read_text().strip()
    with redis.Redis.from_url(chosen.url, username=chosen.user, password=password) as cache:
        for name in cache.keys("*"):
            kind = cache.type(name)
            read = {b"hash": cache.hgetall, b"set": cache.smembers, b"string": cache.get}
            if kind == b"stream":
                value: object = cache.xrange(name)
            else:
                value = read[kind](name)
            held[f"redis {name.decode()}"] = f"{name!r} {value!r}"
    return held


def found(fresh: embedded.Fresh, marks: tuple[str, ...]) -> set[tuple[str, str]]:
    """Where the marks are, the audit included: it holds pseudonyms alone. Bytes come as hex (bytea)."""
    return {
        (mark, place)
        for place, text in everything(fresh).items()
        for mark in marks
        if mark in text or mark.encode().hex() in text
    }


_QUOTE = """
INSERT INTO banking.quote (quote_id, call_id, customer, bank_quote_id, kind, from_account_id, to_id,
    amount_minor, fee_minor, currency, valid_until, bank_valid_until)
VALUES (%s, %s, %s, 'Q', 'transfer', 'ACC-OF-4711', 'PAYEE-OF-4711', 100, 0, 'EUR', now(), now())
"""
_EXECUTION = """
INSERT INTO banking.execution (quote_id, idempotency_key, state, confirmed_by, ask_at, settled_at)
VALUES (%s, %s, %s, 'keypad', now(), %s)
"""


async def add_banking(fresh: embedded.Fresh, key: audit.AuditKey, call_id: str) -> None:
    """What banking keeps of a customer who identified, failed once, and asked for transfers in that call."""
    customer = key.pseudonym(_CUSTOMER_ID, "customer")
    number = key.pseudonym(_CUSTOMER_NUMBER, "customer_number")
    chain = audit.Chain(key, "banking")
    parameters = postgres.parameters(fresh.database("banking"))
    async with (
        await psycopg.AsyncConnection.connect(**parameters) as connection,
        connection.transaction(),
        connection.cursor() as cursor,
    ):
        for subject in (number, key.pseudonym(_CALLER, "caller")):
            await cursor.execute("INSERT INTO banking.attempt (subject, failures) VALUES (%s, 1)", (subject,))
        # One never executed, one executed, one in doubt.
        for state in (None, "executed", "in_doubt"):
            quote = uuid.uuid4()
            await cursor.execute(_QUOTE, (quote, call_id, customer))
            if state is not None:
                settled = "2026-01-01" if state == "executed" else None
                await cursor.execute(_EXECUTION, (quote, str(quote), state, settled))
        await chain.append(cursor, audit.Entry("pin_refused", call_id, number, {"failures": 1}))
        await chain.append(cursor, audit.Entry("pin_accepted", call_id, customer))


async def test_a_customer_is_erased_everywhere_but_from_the_pseudonymous_audit(
    service: Any, client: Any, fresh: embedded.Fresh
) -> None:
    theirs, others = uuid.uuid4().hex, uuid.uuid4().hex
    await hold(client, theirs, "aubergine")
    await hold(client, others, "broccoli")
    await append(client, closed(others))
    key = audit.read_key(service.settings.audit_key)
    await add_banking(fresh, key, theirs)
    before = {mark for mark, _ in await asyncio.to_thread(found, fresh, _MARKS)}
    # What is looked for can be found, but for the customer's own numbers: those are nowhere to begin with.
    assert before == set(_MARKS) - {_CUSTOMER_ID, _CUSTOMER_NUMBER}

    command = ("erase", "--config", str(service.config), "--reason", "asked in writing")
    who = ("--customer", _CUSTOMER_NUMBER, "--customer", _CUSTOMER_ID)
    done = await asyncio.to_thread(tellerline, *command, *who)

    # The customer is on the line yet, and an order is in doubt.
    assert done.returncode == 1, done.stderr
    assert "1 calls are still open" in done.stdout
    assert "1 orders are in doubt" in done.stdout
    await append(client, closed(theirs))
    marks = ("aubergine", _CUSTOMER_ID, _CUSTOMER_NUMBER)

    async def gone() -> bool:
        return not await asyncio.to_thread(found, fresh, marks)

    await eventually(gone)
    assert rows(fresh, "SELECT caller, sip_call_id, state FROM session.call WHERE call_id = %s", theirs) == [
        ("", "", "closed")
    ]
    assert rows(fresh, "SELECT wrapped_key FROM session.recording WHERE call_id = %s", theirs) == [(None,)]
    assert rows(fresh, "SELECT count(*) FROM banking.attempt") == [(0,)]
    # The executed order without its accounts; the one in doubt whole, or it could not be settled.
    accounts = rows(fresh, "SELECT from_account_id, to_id FROM banking.quote ORDER BY 1")
    assert accounts == [("", ""), ("ACC-OF-4711", "PAYEE-OF-4711")]
    # Somebody else's call is as it was.
    assert (await summary(client, call_id=others)).last_turns[0].heard == "I like broccoli"
    assert rows(fresh, "SELECT wrapped_key FROM session.recording WHERE call_id = %s", others) == [
        (b"wrapped-key",)
    ]

    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        settle = (
            "UPDATE banking.execution SET state = 'executed', settled_at = now() WHERE settled_at IS NULL"
        )
        connection.execute(settle)
    again = await asyncio.to_thread(tellerline, *command, *who)
    assert again.returncode == 0, again.stderr
    assert {mark for mark, _ in await asyncio.to_thread(found, fresh, _MARKS[3:6])} == set()

    # Records of the call that come from a spool, again or only now, are counted and bring nothing back.
    late = pb.RecordingStarted(file="late.tlr", host="gpu1", wrapped_key=b"the-late-key", key_id="1")
    handover = pb.HandedOver(reference="late", target="sip:agent@bank", summary="about aubergine")
    reply = await append(
        client,
        turn(theirs, 1, heard="I like aubergine"),
        turn(theirs, 11, heard="I still like aubergine"),
        context(theirs, 12, "aubergine"),
        record(theirs, 13, handed_over=handover),
        record(theirs, 14, consent_given=pb.ConsentGiven(recording=True)),
        record(theirs, 3, "connector@cpu-0", recording_started=late),
        record(theirs, 4, "connector@cpu-0", call_opened=pb.CallOpened(lane="cpu-0", caller="49999")),
    )
    assert (reply.stored, reply.known, len(reply.set_aside)) == (6, 1, 0)
    left = await asyncio.to_thread(found, fresh, ("aubergine", "49999", "the-late-key"))
    assert left == set()
    verified = await asyncio.to_thread(
        tellerline, "audit", "verify", "--config", str(service.config), "--json"
    )
    report = json.loads(verified.stdout)
    assert [finding for finding in report["findings"] if finding["kind"] != "unattended"] == []
    erased = rows(fresh, "SELECT detail FROM audit.entry WHERE action = 'customer_erased'")
    assert len(erased) == 8
    assert all(json.loads(detail)["reason"] == "asked in writing" for (detail,) in erased)


async def test_what_was_kept_long_enough_goes_and_the_audit_says_how_much(
    service: Any, client: Any, fresh: embedded.Fresh
) -> None:
    old, ancient, young, still_open = (uuid.uuid4().hex for _ in range(4))
    for call_id in (old, ancient, young, still_open):
        await hold(client, call_id, "aubergine")
    await append(client, closed(old), closed(ancient), closed(young))
    ages = {old: 200, ancient: 4000, young: 80, still_open: 4000}
    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        for call_id, days in ages.items():
            for table, column in (
                ("turn", "at"),
                ("handover", "at"),
                ("recording", "started_at"),
                ("call", "opened_at"),
            ):
                change = f"UPDATE session.{table} SET {column} = now() - make_interval(days => %s)"
                connection.execute(f"{change} WHERE call_id = %s".encode(), (days, call_id))

    done = await asyncio.to_thread(tellerline, "retention", "--config", str(service.config))

    assert done.returncode == 0, done.stderr
    assert [line.split(maxsplit=1) for line in done.stdout.splitlines()] == [
        ["3", "turns"], ["3", "summaries"], ["0", "set aside"], ["3", "recordings"], ["1", "calls"]
    ]  # fmt: skip
    kept = (
        "SELECT call_id, heard, wrapped_key IS NULL FROM session.turn JOIN session.recording USING (call_id)"
    )
    assert dict((call_id, (heard, gone)) for call_id, heard, gone in rows(fresh, kept)) == {
        old: ("", True),
        young: ("I like aubergine", False),
        still_open: ("", True),
    }
    assert rows(fresh, "SELECT count(*) FROM session.record WHERE call_id = %s", ancient) == [(0,)]
    told = rows(fresh, "SELECT detail FROM audit.entry WHERE action = 'retention_applied' ORDER BY position")
    assert [(entry["kind"], entry["count"]) for entry in (json.loads(detail) for (detail,) in told)] == [
        ("turns", 3), ("summaries", 3), ("recordings", 3), ("calls", 1)
    ]  # fmt: skip
    again = await asyncio.to_thread(tellerline, "retention", "--config", str(service.config))
    assert {line.split()[0] for line in again.stdout.splitlines()} == {"0"}

    # The daemon does so by itself, when it starts and then on its timer.
    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        connection.execute("UPDATE session.turn SET at = now() - interval '91 days'")
    service.stop()
    await asyncio.to_thread(service.start)

    async def blank() -> bool:
        return rows(fresh, "SELECT count(*) FROM session.turn WHERE heard <> ''") == [(0,)]

    await eventually(blank)


async def test_the_daemon_keeps_heads_and_verify_finds_what_an_administrator_did(
    service: Any, client: Any, fresh: embedded.Fresh
) -> None:
    await hold(client, uuid.uuid4().hex, "aubergine")
    assert service.stop() == 0
    verify = ("audit", "verify", "--config", str(service.config))
    good = await asyncio.to_thread(tellerline, *verify)
    assert good.returncode == 0, good.stdout + good.stderr
    # The nightly unit has its own copies of key and password; a key that is not there is no tampering.
    without = await asyncio.to_thread(tellerline, *verify, "--key", "/none")
    assert without.returncode == 2, without.stderr
    files = ("--key", str(service.settings.audit_key), "--password", str(service.settings.database.password))
    assert (await asyncio.to_thread(tellerline, *verify, *files)).returncode == 0

    with psycopg.connect(**postgres.parameters(fresh.superuser())) as connection:
        connection.execute("DELETE FROM audit.entry WHERE position = (SELECT max(position) FROM audit.entry)")
    cut = await asyncio.to_thread(tellerline, *verify)
    assert cut.returncode == 1
    assert "cut: " in cut.stdout


def test_verify_says_when_the_database_is_away(tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    key.write_bytes(base64.b64encode(bytes(32)))
    chosen = settings.SessionSettings(
        database=settings.DatabaseSettings(dsn="host=/nowhere dbname=tellerline user=nobody"),
        redis=settings.RedisSettings(url="unix:///nowhere"),
        audit_key=key,
    )
    config = tmp_path / "session.yml"
    config.write_text(settings.dump(chosen))
    done = tellerline("audit", "verify", "--config", str(config))
    assert done.returncode == 2
    assert done.stderr.startswith("tellerline: the audit's database cannot be asked")
