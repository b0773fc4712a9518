"""The audit chain in PostgreSQL: many writers at once, roles that may only add, every tampering told."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from tellerline import audit, audit_heads, audit_verification, embedded
from tellerline.database import postgres
from tellerline.errors import AuditError

_APPENDER = Path(__file__).with_name("appender.py")
_ROLES = {"session": "tellerline_session", "banking": "tellerline_banking"}


@pytest.fixture(scope="module")
def conninfo_of(datastores: embedded.Datastores) -> Callable[[str], str]:
    """How to reach this module's database in a role. One for all tests: each begins with an empty chain."""
    fresh = datastores.fresh()

    def conninfo(role: str) -> str:
        database = fresh.database(role.removeprefix("tellerline_"))
        return psycopg.conninfo.make_conninfo(**postgres.parameters(database))

    return conninfo


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "audit.key"
    path.write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
    return path


@pytest.fixture
def key(key_file: Path) -> audit.AuditKey:
    return audit.read_key(key_file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "heads"


@pytest.fixture
def heads(folder: Path, key: audit.AuditKey) -> audit_heads.Heads:
    return audit_heads.Heads(folder, key, "session")


@pytest.fixture
async def owner(conninfo_of) -> AsyncIterator[psycopg.AsyncConnection]:
    """Somebody who can do anything to the database, with an empty chain."""
    async with await psycopg.AsyncConnection.connect(conninfo_of("tellerline_owner"), autocommit=True) as it:
        await it.execute("TRUNCATE audit.entry")
        yield it


@pytest.fixture
async def session(conninfo_of) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(conninfo_of(_ROLES["session"]), autocommit=True) as it:
        yield it


async def add(connection, key, count: int, first: int = 1) -> audit.Head:
    chain = audit.Chain(key, "session")
    head = None
    for number in range(first, first + count):
        async with connection.transaction(), connection.cursor() as cursor:
            entry = audit.Entry("card_blocked", f"call-{number}", key.pseudonym("4711"), {"number": number})
            head = await chain.append(cursor, entry)
    assert head is not None
    return head


async def kinds(connection, key, folder: Path) -> dict[str, int]:
    report = await audit_verification.verify(connection, key, audit_heads.read(folder, key))
    return dict(Counter(finding.kind for finding in report.findings))


# ---- writing


async def test_two_instances_of_two_daemons_append_one_chain(
    conninfo_of, owner, session, key, key_file, folder
):
    """8 connections of 4 processes, a fifth of the transactions rolled back: no gap, no fork, no loss."""
    tasks, entries = 2, 50
    instances = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(_APPENDER), conninfo_of(_ROLES[service]), str(key_file), service, f"{tasks}",
            f"{entries}", stderr=asyncio.subprocess.PIPE,
        )
        for service in ("session", "session", "banking", "banking")
    ]  # fmt: skip
    seen_while_writing = []
    waiting = asyncio.gather(*(instance.communicate() for instance in instances))
    while not waiting.done():
        report = await audit_verification.verify(session, key, ())
        seen_while_writing.append([f for f in report.findings if f.kind != "unattended"])
        await asyncio.wait([waiting], timeout=0.05)
    for instance, (_, errors) in zip(instances, await waiting, strict=True):
        assert instance.returncode == 0, errors.decode()

    assert all(findings == [] for findings in seen_while_writing)
    audit_heads.Heads(folder, key, "session").keep(await add(session, key, 1))
    report = await audit_verification.verify(session, key, audit_heads.read(folder, key))
    assert report.findings == []
    assert report.entries == report.newest == 4 * tasks * entries * 4 // 5 + 1
    rows = await owner.execute("SELECT service, count(*) FROM audit.entry GROUP BY service")
    assert dict(await rows.fetchall()) == {"session": 161, "banking": 160}
    # Every instance's every task, in the order it wrote.
    rows = await owner.execute("SELECT detail FROM audit.entry WHERE service = 'banking'")
    assert Counter(detail for (detail,) in await rows.fetchall()).most_common(1)[0][1] == 2


async def test_times_follow_positions(owner, session, key):
    """The database's clock stamps entries under the lock, whatever the instances' clocks say."""
    await add(session, key, 20)
    rows = await owner.execute("SELECT at FROM audit.entry ORDER BY position")
    times = [at for (at,) in await rows.fetchall()]
    assert times == sorted(times)


async def test_an_entry_exists_when_its_transaction_commits(owner, session, key, folder, heads):
    with pytest.raises(ZeroDivisionError):
        async with session.transaction(), session.cursor() as cursor:
            await audit.Chain(key, "session").append(cursor, audit.Entry("card_blocked"))
            1 / 0  # noqa: B018
    head = await add(session, key, 1)
    assert head.position == 1
    heads.keep(head)
    assert await kinds(session, key, folder) == {}


async def test_append_refuses_what_would_break_the_chain(session, owner, key):
    chain = audit.Chain(key, "session")
    async with session.cursor() as cursor:
        with pytest.raises(AuditError, match="none is open"):
            await chain.append(cursor, audit.Entry("card_blocked"))
    await session.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    with pytest.raises(AuditError, match="READ COMMITTED"):
        async with session.transaction(), session.cursor() as cursor:
            await chain.append(cursor, audit.Entry("card_blocked"))


async def test_the_newest_head_is_kept_by_a_role_that_cannot_read(conninfo_of, owner, session, key, folder):
    head = await add(session, key, 3)
    heads = audit_heads.Heads(folder, key, "banking")
    async with await psycopg.AsyncConnection.connect(conninfo_of(_ROLES["banking"])) as banking:
        await heads.keep_committed(banking)
    (kept,) = audit_heads.read(folder, key)
    assert (kept.position, kept.mac, kept.genuine) == (3, head.mac, True)


async def test_heads_are_kept_while_the_daemon_runs_and_at_its_end(conninfo_of, owner, session, key, folder):
    async with AsyncConnectionPool(conninfo_of(_ROLES["session"]), min_size=1, open=False) as pool:
        await add(session, key, 1)
        task = asyncio.create_task(
            audit_heads.keep_always(audit_heads.Heads(folder, key, "session"), pool, every_seconds=3600)
        )
        async with asyncio.timeout(10):
            while not list(audit_heads.read(folder, key)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await add(session, key, 1, first=2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [kept.position for kept in audit_heads.read(folder, key)] == [1, 2]


async def test_an_instance_that_vanishes_holding_the_chain_is_passed_over(conninfo_of, owner, session, key):
    """It neither commits nor closes, as a host does that lost its power: the server ends it, others go on."""
    vanished = await psycopg.AsyncConnection.connect(conninfo_of(_ROLES["banking"]))
    async with vanished.cursor() as cursor:
        await cursor.execute("SELECT 1")
        await audit.Chain(key, "banking").append(cursor, audit.Entry("card_blocked"))
    async with asyncio.timeout(30):
        head = await add(session, key, 1)
    assert head.position == 1
    with pytest.raises(psycopg.Error):
        await vanished.commit()
    await vanished.close()


# ---- what the daemons' roles may do: INSERT, and no more

_DENIED = [
    "UPDATE audit.entry SET detail = '{}'",
    "UPDATE audit.entry SET mac = mac WHERE position = 1",
    "DELETE FROM audit.entry",
    "TRUNCATE audit.entry",
    "INSERT INTO audit.entry SELECT * FROM audit.entry ON CONFLICT (position) DO UPDATE SET detail = '{}'",
    "MERGE INTO audit.entry e USING (VALUES (1)) v (p) ON e.position = v.p WHEN MATCHED THEN DELETE",
    "SELECT * FROM audit.entry FOR UPDATE",
    "BEGIN; LOCK TABLE audit.entry IN ACCESS EXCLUSIVE MODE",
    "ALTER TABLE audit.entry DISABLE TRIGGER ALL",
    "ALTER TABLE audit.entry DROP COLUMN mac",
    "DROP TABLE audit.entry",
    "CREATE TABLE audit.mine (x int)",
    "CREATE TRIGGER mine BEFORE INSERT ON audit.entry FOR EACH ROW EXECUTE FUNCTION audit.tail()",
    "CREATE RULE mine AS ON INSERT TO audit.entry DO INSTEAD NOTHING",
    "CREATE OR REPLACE FUNCTION audit.tail() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "DROP FUNCTION audit.tail()",
    "SET ROLE tellerline_owner",
]


@pytest.mark.parametrize("service", _ROLES)
@pytest.mark.parametrize("statement", _DENIED)
async def test_a_daemon_may_only_add(conninfo_of, owner, session, key, service, statement):
    await add(session, key, 2)
    async with await psycopg.AsyncConnection.connect(conninfo_of(_ROLES[service]), autocommit=True) as daemon:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as denied:
            await daemon.execute(statement)
    assert denied.value.sqlstate == "42501"
    rows = await owner.execute("SELECT count(*) FROM audit.entry")
    assert await rows.fetchone() == (2,)


@pytest.mark.parametrize("service", _ROLES)
async def test_a_daemon_cannot_give_itself_more(conninfo_of, owner, session, service):
    """PostgreSQL answers such a GRANT with a warning and does nothing."""
    verbs = "(VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('TRIGGER'), ('REFERENCES')) v (verb)"
    async with await psycopg.AsyncConnection.connect(conninfo_of(_ROLES[service]), autocommit=True) as daemon:
        await daemon.execute("GRANT ALL ON audit.entry TO CURRENT_USER")
        rows = await daemon.execute(f"SELECT bool_or(has_table_privilege('audit.entry', verb)) FROM {verbs}")
        assert await rows.fetchone() == (False,)
        rows = await daemon.execute("SELECT has_any_column_privilege('audit.entry', 'UPDATE')")
        assert await rows.fetchone() == (False,)


async def test_banking_reads_no_entry_back(conninfo_of, owner, session, key):
    await add(session, key, 1)
    async with await psycopg.AsyncConnection.connect(
        conninfo_of(_ROLES["banking"]), autocommit=True
    ) as banking:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await banking.execute("SELECT position FROM audit.entry")


# ---- what verification finds


@pytest.fixture
async def kept_chain(owner, session, key, heads) -> None:
    """Nine entries, a head of each."""
    for number in range(1, 10):
        heads.keep(await add(session, key, 1, first=number))


async def test_an_untouched_chain_is_good(kept_chain, session, key, folder):
    report = await audit_verification.verify(session, key, audit_heads.read(folder, key))
    assert report.good
    assert (report.entries, report.newest, report.newest_head, report.heads) == (9, 9, 9, 9)


@pytest.mark.parametrize(
    "change",
    [
        "at = at + interval '1 microsecond'",
        "service = 'banking'",
        "action = 'card_unblocked'",
        "call_id = NULL",
        "call_id = ''",
        "subject = 'customer:00'",
        "detail = '{\"number\":6}'",
        "detail = detail || ' '",
        "previous = decode(repeat('ab', 32), 'hex')",
        "mac = set_byte(mac, 31, get_byte(mac, 31) # 1)",
    ],
)
async def test_an_edit_is_found(kept_chain, owner, session, key, folder, change):
    await owner.execute(f"UPDATE audit.entry SET {change} WHERE position = 5")
    found = await kinds(session, key, folder)
    assert found.pop("edited") >= 1
    # A changed MAC is also not the one its head names.
    assert set(found) <= {"replaced"}


async def test_a_deletion_is_found(kept_chain, owner, session, key, folder):
    await owner.execute("DELETE FROM audit.entry WHERE position IN (4, 5)")
    report = await audit_verification.verify(session, key, audit_heads.read(folder, key))
    assert [(finding.kind, finding.text) for finding in report.findings] == [("deleted", "missing: 4 to 5")]


async def test_a_deletion_of_the_beginning_is_found(kept_chain, owner, session, key, folder):
    await owner.execute("DELETE FROM audit.entry WHERE position = 1")
    assert await kinds(session, key, folder) == {"deleted": 1}


async def test_a_deletion_closed_up_is_found(kept_chain, owner, session, key, folder):
    await owner.execute("DELETE FROM audit.entry WHERE position = 5")
    for position in range(6, 10):
        await owner.execute("UPDATE audit.entry SET position = position - 1 WHERE position = %s", (position,))
    found = await kinds(session, key, folder)
    assert found["reordered"] == 4
    assert found["cut"] == 1


async def test_a_reordering_is_found(kept_chain, owner, session, key, folder):
    await owner.execute("UPDATE audit.entry SET position = position + 100 WHERE position IN (3, 7);")
    await owner.execute("UPDATE audit.entry SET position = 7 WHERE position = 103")
    await owner.execute("UPDATE audit.entry SET position = 3 WHERE position = 107")
    report = await audit_verification.verify(session, key, audit_heads.read(folder, key))
    moved = [finding.text for finding in report.findings if finding.kind == "reordered"]
    assert moved == ["entry 3: was written as entry 7", "entry 7: was written as entry 3"]


async def test_an_entry_without_the_key_is_found(kept_chain, conninfo_of, session, key, folder):
    """A daemon's own role can add a row; it cannot sign it."""
    stranger = audit.Chain(audit.AuditKey((b"x" * 32,)), "banking")
    async with (
        await psycopg.AsyncConnection.connect(conninfo_of(_ROLES["banking"])) as banking,
        banking.transaction(),
        banking.cursor() as cursor,
    ):
        await stranger.append(cursor, audit.Entry("card_blocked"))
    assert await kinds(session, key, folder) == {"unknown_key": 1}


async def test_a_cut_tail_is_found(kept_chain, owner, session, key, folder):
    await owner.execute("DELETE FROM audit.entry WHERE position >= 8")
    assert await kinds(session, key, folder) == {"cut": 2}


async def test_a_tail_cut_and_grown_again_is_found(kept_chain, owner, session, key, folder):
    """Even by a holder of the key: the kept heads name what stood there before."""
    await owner.execute("DELETE FROM audit.entry WHERE position >= 8")
    await add(session, key, 5)
    assert await kinds(session, key, folder) == {"replaced": 2}


async def test_an_emptied_chain_is_found(kept_chain, owner, session, key, folder):
    await owner.execute("TRUNCATE audit.entry")
    assert await kinds(session, key, folder) == {"cut": 9}


async def test_missing_heads_are_found(kept_chain, session, key, tmp_path):
    assert await kinds(session, key, tmp_path / "elsewhere") == {"unattended": 1}


@pytest.mark.parametrize(("old", "new"), [(b'"position": 9', b'"position": 7'), (b"}\n", b"\n")])
async def test_a_damaged_head_is_found(kept_chain, session, key, folder, old, new):
    (file,) = folder.iterdir()
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1].replace(old, new))
    assert await kinds(session, key, folder) == {"head": 1}


async def test_a_new_key_verifies_what_the_old_one_signed(kept_chain, session, key_file, folder):
    with key_file.open("ab") as file:
        file.write(base64.b64encode(b"n" * 32) + b"\n")
    rotated = audit.read_key(key_file)
    audit_heads.Heads(folder, rotated, "session").keep(await add(session, rotated, 1, first=10))
    assert await kinds(session, rotated, folder) == {}
    rows = await session.execute("SELECT count(DISTINCT key_id), count(DISTINCT subject) FROM audit.entry")
    # Both keys sign, and a customer keeps the pseudonym.
    assert await rows.fetchone() == (2, 1)
