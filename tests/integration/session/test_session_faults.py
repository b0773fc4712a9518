"""Whatever dies, records in = records out."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from click.testing import CliRunner
from records import append, opened

from tellerline import embedded
from tellerline.cli.main import cli
from tellerline.database import postgres
from tellerline.forwarding import Forwarder
from tellerline.rpc import session_pb2 as pb
from tellerline.settings import ServiceAddresses

# What a producer on another host does, until it is killed: says each record's number once it is on disk.
_PRODUCER = """
import asyncio, sys, uuid
from pathlib import Path
from tellerline.forwarding import Forwarder
from tellerline.rpc import session_pb2 as pb
from tellerline.settings import ServiceAddresses

async def main():
    folder, address, call_id = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    async with Forwarder(folder, ServiceAddresses(addresses=(address,)), "pipeline@cpu-0") as forwarder:
        number = 0
        while True:
            number += 1
            forwarder.append(call_id, pb.TurnTaken(turn_id=number, language="en", heard=f"turn {number}"))
            print(number, flush=True)
            await asyncio.sleep(0.002)

asyncio.run(main())
"""


@pytest.fixture
def own_datastores(binaries: embedded.Binaries) -> Iterator[embedded.Datastores]:
    """Servers a test may stop."""
    with embedded.temporary(binaries) as stores:
        yield stores


def rows(over: Any, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(**postgres.parameters(over.superuser())) as connection:
        return connection.execute(query.encode(), values).fetchall()


def addresses(*services: Any) -> ServiceAddresses:
    return ServiceAddresses(addresses=tuple(service.address for service in services))


def turn(number: int) -> pb.TurnTaken:
    return pb.TurnTaken(turn_id=number, language="en", heard=f"turn {number}", said="yes", played="yes")


def stored_turns(over: Any, call_id: str) -> list[int]:
    found = rows(over, "SELECT turn_id FROM session.turn WHERE call_id = %s ORDER BY turn_id", call_id)
    return [number for (number,) in found]


def produce_until_killed(count: int, *arguments: str) -> int:
    """Kills a producer once it has said `count` records; returns how many it had said by then."""
    command = (sys.executable, "-c", _PRODUCER, *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as producer:
        assert producer.stdout is not None
        for line in producer.stdout:
            if int(line) >= count:
                producer.kill()
                break
        return max([count, *(int(line) for line in producer.stdout)])


async def test_producer_killed_again_and_again_loses_and_doubles_nothing(
    start_service: Any, fresh: embedded.Fresh, tmp_path: Path
) -> None:
    service = start_service(fresh)
    spool = tmp_path / "spool"
    said: dict[str, int] = {}
    for life in range(3):
        call_id = str(uuid.uuid4())
        said[call_id] = await asyncio.to_thread(
            produce_until_killed, 40 + 37 * life, str(spool), service.address, call_id
        )
    async with Forwarder(spool, addresses(service), "pipeline@cpu-0") as forwarder:
        assert await forwarder.drained(10)
    for call_id, last in said.items():
        numbers = stored_turns(fresh, call_id)
        # The one in hand when it was killed may be on disk unsaid.
        assert numbers == list(range(1, len(numbers) + 1))
        assert last <= len(numbers) <= last + 1
    assert not list(spool.glob("*.records"))


async def test_service_killed_in_mid_stream_loses_and_doubles_nothing(
    start_service: Any, fresh: embedded.Fresh, tmp_path: Path
) -> None:
    first, second = start_service(fresh), start_service(fresh)
    call_id = str(uuid.uuid4())
    async with Forwarder(tmp_path / "spool", addresses(first, second), "pipeline@cpu-0") as forwarder:
        for number in range(1, 601):
            forwarder.append(call_id, turn(number))
            if number == 200:
                first.kill()
            elif number == 400:
                first.start()
                second.kill()
            await asyncio.sleep(0.002)
        assert await forwarder.drained(20)
    assert stored_turns(fresh, call_id) == list(range(1, 601))
    sequences = rows(
        fresh, "SELECT sequence FROM session.record WHERE call_id = %s ORDER BY stored_at", call_id
    )
    assert sequences == sorted(sequences)


@pytest.mark.parametrize("how", ["killed", "stopped", "hangs"])
async def test_postgres_away_with_calls_live(
    how: str, start_service: Any, own_datastores: embedded.Datastores, tmp_path: Path
) -> None:
    service = start_service(own_datastores)
    server = own_datastores.postgres_server
    call_id = str(uuid.uuid4())
    async with Forwarder(tmp_path / "spool", addresses(service), "pipeline@cpu-0") as forwarder:
        forwarder.append(call_id, pb.CallOpened(sip_call_id="x", lane="cpu-0"))
        forwarder.append(call_id, pb.ContextSaved(phase="balance", language="en", state_json="{}"))
        assert await forwarder.drained(10)
        if how == "killed":
            server.kill()
        elif how == "stopped":
            server.stop()
        else:
            server.hang()
        for number in range(1, 101):
            forwarder.append(call_id, turn(number))
        forwarder.append(call_id, pb.ContextSaved(phase="transfer", language="en", state_json='{"a":1}'))
        assert not await forwarder.drained(2)
        # A pipeline that takes the call over now is told what is on this disk.
        resumed = await forwarder.resume(call_id)
        assert (resumed.found, resumed.phase, resumed.state_json) == (True, "transfer", '{"a":1}')
        assert len(resumed.turns) == 20 and resumed.turns[-1].heard == "turn 100"
        if how == "hangs":
            server.go_on()
        else:
            server.start()
        own_datastores.wait_until_ready()
        assert await forwarder.drained(30)
    assert stored_turns(own_datastores, call_id) == list(range(1, 101))
    assert rows(own_datastores, "SELECT state FROM session.call WHERE call_id = %s", call_id) == [("open",)]
    assert rows(own_datastores, "SELECT count(*) FROM session.set_aside") == [(0,)]


async def test_leases_that_lapsed_while_postgres_was_away_cost_no_call(
    start_service: Any, connect: Any, own_datastores: embedded.Datastores
) -> None:
    service = start_service(own_datastores, orphan_grace_seconds=3)
    client = connect(service)
    call_id = str(uuid.uuid4())
    await append(client, opened(call_id))
    # Not lapsed before PostgreSQL is gone, or it would rightly be given up.
    [(lapses,)] = rows(
        own_datastores,
        "UPDATE session.call SET lease_until = now() + interval '1 s' WHERE call_id = %s"
        " RETURNING extract(epoch FROM lease_until)::float8",
        call_id,
    )
    own_datastores.postgres_server.kill()
    deadline = time.monotonic() + 15
    while time.time() <= lapses or "no call is given up" not in service.log.read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    own_datastores.postgres_server.start()
    own_datastores.wait_until_ready()
    lease = pb.LeaseRequest(lane="cpu-0", call_ids=[call_id], seconds=60)
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(Exception):
                await client.call("Lease", lease, within_seconds=2)
                break
            await asyncio.sleep(0.1)
    # The grace is over, and orphans are looked for again.
    other = pb.Record(
        call_id="dropped", producer="connector@cpu-0", sequence=1, at_unix_ms=1, call_opened=pb.CallOpened()
    )
    await client.call("Append", pb.AppendRequest(records=[other]), within_seconds=5)
    rows(
        own_datastores,
        "UPDATE session.call SET lease_until = now() WHERE call_id = 'dropped' RETURNING 1",
    )
    deadline = time.monotonic() + 15
    while rows(own_datastores, "SELECT state FROM session.call WHERE call_id = 'dropped'") != [("lost",)]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert rows(own_datastores, "SELECT state FROM session.call WHERE call_id = %s", call_id) == [("open",)]


async def test_redis_that_hangs_delays_no_record_and_no_answer_for_long(
    start_service: Any, connect: Any, own_datastores: embedded.Datastores
) -> None:
    service = start_service(own_datastores)
    client = connect(service)
    await append(client, opened("here"))
    await until_live(client, ["here"])
    own_datastores.valkey_server.hang()
    try:
        for number in range(1, 51):
            record = pb.Record(
                call_id="here", producer="pipeline@cpu-0/1", sequence=number, turn_taken=turn(number)
            )
            await client.call("Append", pb.AppendRequest(records=[record]), within_seconds=5)
        assert await live(client) == ["here"]
    finally:
        own_datastores.valkey_server.go_on()
    assert stored_turns(own_datastores, "here") == list(range(1, 51))


async def test_service_starts_while_everything_is_away(
    start_service: Any, own_datastores: embedded.Datastores, tmp_path: Path
) -> None:
    own_datastores.postgres_server.stop()
    own_datastores.valkey_server.stop()
    service = start_service(own_datastores)
    async with Forwarder(tmp_path / "spool", addresses(service), "pipeline@cpu-0") as forwarder:
        forwarder.append("early", turn(1))
        assert not await forwarder.drained(1)
        own_datastores.postgres_server.start()
        own_datastores.valkey_server.start()
        own_datastores.wait_until_ready()
        assert await forwarder.drained(20)
    assert stored_turns(own_datastores, "early") == [1]


async def test_flushed_redis_is_built_anew_and_meanwhile_the_truth_answers(
    start_service: Any, connect: Any, fresh: embedded.Fresh
) -> None:
    service = start_service(fresh)
    client = connect(service)
    call_ids = sorted(str(uuid.uuid4()) for _ in range(20))
    await append(client, *(opened(call_id) for call_id in call_ids))
    await until_live(client, call_ids)
    with as_admin(fresh) as admin:
        admin.flushdb()
        assert await live(client) == call_ids
        deadline = time.monotonic() + 15
        while admin.scard("session:live") != 20 or not admin.exists("session:built"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    # And events go on.
    closed = pb.Record(
        call_id=call_ids[0], producer="connector@cpu-0", sequence=2, at_unix_ms=1, call_closed=pb.CallClosed()
    )
    await client.call("Append", pb.AppendRequest(records=[closed]), within_seconds=5)
    await until_live(client, call_ids[1:])


async def test_lost_events_are_made_good_by_views_built_anew(
    start_service: Any, connect: Any, fresh: embedded.Fresh
) -> None:
    """As when Redis is emptied while views are being built: the views are there, who listened is not."""
    client = connect(start_service(fresh))
    with as_admin(fresh) as admin:
        await until_shown(admin)
        await append(client, opened("there"))
        await until_shown(admin, "there")
        with admin.pipeline(transaction=True) as at_once:
            at_once.srem("session:live", "there")
            at_once.delete("session:events")
            at_once.execute()
        await until_shown(admin, "there")


async def test_view_of_another_release_is_passed_over(
    start_service: Any, connect: Any, fresh: embedded.Fresh
) -> None:
    client = connect(start_service(fresh))
    await append(client, opened("here"))
    with as_admin(fresh) as admin:
        # The call is live before it has a view: the truth answers until the first views are built.
        await until_shown(admin, "here")
        admin.hset("session:call:here", "json", '{"call_id": "here", "colour": "blue"}')
    assert await live(client) == ["here"]


async def test_names_nothing_can_have_are_not_found(
    start_service: Any, connect: Any, fresh: embedded.Fresh
) -> None:
    client = connect(start_service(fresh))
    for by in ({"call_id": "a\x00b"}, {"reference": "a\x00b"}):
        reply = await client.call("Summary", pb.SummaryRequest(**by), within_seconds=5)
        assert not reply.found
    lease = pb.LeaseRequest(lane="cpu-0", call_ids=["a\x00b"], seconds=15)
    await client.call("Lease", lease, within_seconds=5)


async def test_rebuild_command_mends_the_read_side(
    start_service: Any, connect: Any, fresh: embedded.Fresh
) -> None:
    service = start_service(fresh)
    client = connect(service)
    await append(client, opened("there"))
    await until_live(client, ["there"])
    with as_admin(fresh) as admin:
        admin.srem("session:live", "there")
        admin.delete("session:call:there")
        admin.hset("session:call:ghost", mapping={"version": 1, "json": "{}"})
        admin.sadd("session:live", "ghost")
        done = await asyncio.to_thread(
            CliRunner().invoke, cli, ["session", "rebuild", "--config", str(service.config)]
        )
        assert done.exit_code == 0, done.output
        assert "1 calls" in done.output
        assert admin.smembers("session:live") == {b"there"}
        assert not admin.exists("session:call:ghost")
    assert await live(client) == ["there"]


async def test_events_of_a_killed_instance_are_dealt_with_by_another(
    start_service: Any, connect: Any, fresh: embedded.Fresh
) -> None:
    # Events only an instance that died had taken: pending in the group, acknowledged by nobody.
    first = start_service(fresh)
    client = connect(first)
    await append(client, opened("pending"))
    await until_live(client, ["pending"])
    first.kill()
    with as_admin(fresh) as admin:
        admin.srem("session:live", "pending")
        admin.delete("session:call:pending")
        admin.xadd("session:events", {"call_id": "pending", "kind": "call_opened"})
        taken = admin.xreadgroup("views", "dead", {"session:events": ">"}, count=10)
        assert taken
        # As if that had been long ago.
        entry_id = taken[0][1][0][0]
        admin.xclaim("session:events", "views", "dead", 0, [entry_id], idle=60_000)
        second = start_service(fresh)
        await until_live(connect(second), ["pending"])
        deadline = time.monotonic() + 5
        while admin.xpending("session:events", "views")["pending"]:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


def as_admin(fresh: embedded.Fresh) -> redis.Redis:
    chosen = fresh.redis("admin")
    assert chosen.password is not None
    password = chosen.password.read_text(encoding="utf-8").strip()
    return redis.Redis.from_url(chosen.url, username="admin", password=password, protocol=2)


async def live(client: Any) -> list[str]:
    reply = await client.call("LiveCalls", pb.LiveCallsRequest(), within_seconds=8)
    return sorted(call.call_id for call in reply.calls)


async def until_live(client: Any, wanted: list[str]) -> None:
    deadline = time.monotonic() + 15
    while await live(client) != wanted:
        assert time.monotonic() < deadline, await live(client)
        await asyncio.sleep(0.02)


async def until_shown(admin: Any, *call_ids: str) -> None:
    """Waits until the views are built and these calls are among the live ones."""
    deadline = time.monotonic() + 15
    while not (
        admin.exists("session:built")
        and admin.smembers("session:live") >= {call_id.encode() for call_id in call_ids}
    ):
        assert time.monotonic() < deadline, admin.smembers("session:live")
        await asyncio.sleep(0.02)
