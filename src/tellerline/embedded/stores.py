"""Both servers together: prepared, started, migrated, asked, stopped."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import psycopg
import redis
from psycopg import sql

from tellerline.database import migrate as migrations
from tellerline.database import postgres
from tellerline.embedded import postgres_server, valkey_server
from tellerline.embedded.binaries import Binaries
from tellerline.embedded.passwords import Passwords
from tellerline.embedded.server import Server
from tellerline.errors import DatastoreError
from tellerline.settings import DatabaseSettings, RedisSettings

DATABASE = "tellerline"
# The daemons, whose role in PostgreSQL is tellerline_<name> and whose keys in Redis begin with "<name>:".
DAEMONS = ("session", "banking")
_ROLES_SQL = migrations.FOLDER.with_name("roles.sql")
_START_SECONDS = 30.0
_POLL_SECONDS = 0.02


class Datastores:
    """PostgreSQL and Valkey, running while the context is open. Data in `folder` outlives it.

    Not `durable`, PostgreSQL leaves writing to the kernel: what is committed outlives any process, not a
    power cut. Started as root, PostgreSQL (which refuses to run as root) sees another user through a user
    namespace, or is another where those are forbidden.
    """

    def __init__(self, folder: Path, binaries: Binaries | None = None, *, durable: bool = True) -> None:
        self._folder = folder.resolve()
        self._passwords = Passwords(self._folder)
        self._binaries = binaries or Binaries()
        self._durable = durable
        self._sockets = Path()
        self._superuser = DatabaseSettings(dsn="host=/nowhere")
        self._numbers = itertools.count(1)

    def __enter__(self) -> Datastores:
        self.prepare()
        try:
            self.postgres_server.start()
            self.valkey_server.start()
            self.wait_until_ready()
            self.migrate()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---- what daemons are configured with

    def database(self, role: str, name: str = DATABASE) -> DatabaseSettings:
        """The database `name` as "session", "banking" or "owner"."""
        dsn = f"host={self._sockets} dbname={name} user=tellerline_{role}"
        return DatabaseSettings(dsn=dsn, password=self._passwords.file(f"postgres-{role}"))

    def superuser(self, name: str = DATABASE) -> DatabaseSettings:
        """The database `name` as its administrator: for tests that look behind a daemon's back."""
        dsn = f"host={self._sockets} dbname={name} user=postgres"
        return DatabaseSettings(dsn=dsn, password=self._passwords.file("postgres-superuser"))

    def redis(self, user: str, number: int = 0) -> RedisSettings:
        """Redis database `number` as "session", "banking" or "admin" (who may do anything)."""
        url = f"unix://{self._valkey_socket()}?db={number}"
        return RedisSettings(url=url, user=user, password=self._passwords.file(f"valkey-{user}"))

    def fresh(self) -> Fresh:
        """A database and a Redis database nobody has used, with the schema of this release."""
        number = next(self._numbers)
        name = f"{DATABASE}_{os.getpid()}_{number}"
        with self._administration() as connection:
            # A template nobody is connected to: PostgreSQL copies no other (CREATE DATABASE).
            template = f"{DATABASE}_template"
            if self._create(connection, template):
                migrations.apply(self.database("owner", template))
            self._create(connection, name, template)
        with redis.Redis.from_url(f"unix://{self._valkey_socket()}?db={number}", **self._admin()) as client:
            client.flushdb()
        return Fresh(self, name, number)

    def drop(self, name: str) -> None:
        """Removes the database `name`, whoever is connected to it."""
        with self._administration() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    # ---- life

    def prepare(self) -> None:
        """Makes clusters, passwords and sockets' folder where they are missing; starts nothing."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Socket paths hold 107 bytes (unix(7)), and `folder` may lie deep.
        self._sockets = Path(tempfile.mkdtemp(prefix="tellerline-data-"))
        for daemon in DAEMONS:
            self._passwords.make(f"postgres-{daemon}")
            self._passwords.make(f"valkey-{daemon}")
        for name in ("postgres-owner", "postgres-superuser", "valkey-admin"):
            self._passwords.make(name)
        self.postgres_server = postgres_server.prepared(
            self._folder,
            self._binaries.postgres,
            self._sockets,
            self._passwords.file("postgres-superuser"),
            durable=self._durable,
        )
        self.valkey_server = valkey_server.prepared(
            self._folder, self._binaries.redis, self._valkey_socket(), self._passwords, DAEMONS
        )

    def wait_until_ready(self) -> None:
        """Waits until both servers answer. Raises DatastoreError after 30 s, or when one has ended."""
        self._wait(self.postgres_server, self._postgres_answers)
        self._wait(self.valkey_server, self._valkey_answers)

    def migrate(self) -> None:
        """Makes roles and database, and brings the schema to this release."""
        with self._administration() as connection:
            connection.execute(_ROLES_SQL.read_bytes())
            for role in (*DAEMONS, "owner"):
                password = sql.Literal(self._passwords.read(f"postgres-{role}"))
                name = sql.Identifier(f"tellerline_{role}")
                connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, password))
            self._create(connection, DATABASE)
        migrations.apply(self.database("owner"))

    def stop(self, *, data_goes: bool = False) -> None:
        """Stops both servers and removes their sockets. `data_goes`: nobody needs the data any more."""
        self.valkey_server.stop()
        # SIGQUIT: immediate shutdown. The last checkpoint takes seconds: 5 after 20 fresh databases.
        self.postgres_server.stop(signal.SIGQUIT if data_goes else None)
        shutil.rmtree(self._sockets, ignore_errors=True)

    # ---- asking the servers

    def _administration(self) -> psycopg.Connection:
        return psycopg.connect(**postgres.parameters(self.superuser("postgres")), autocommit=True)

    def _create(self, connection: psycopg.Connection, name: str, template: str = "template1") -> bool:
        """False where the database is there already."""
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            return False
        names = (sql.Identifier(name), sql.Identifier(template))
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER tellerline_owner").format(*names)
        connection.execute(create)
        return True

    def _postgres_answers(self) -> bool:
        try:
            psycopg.connect(**postgres.parameters(self.superuser("postgres"))).close()
        except psycopg.OperationalError:
            return False
        return True

    def _valkey_socket(self) -> Path:
        return self._sockets / "valkey.sock"

    def _valkey_answers(self) -> bool:
        try:
            with redis.Redis.from_url(f"unix://{self._valkey_socket()}", **self._admin()) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _admin(self) -> dict[str, str]:
        return {"username": "admin", "password": self._passwords.read("valkey-admin")}

    def _wait(self, server: Server, answers: object) -> None:
        assert callable(answers)
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            server.check()
            if time.monotonic() > deadline:
                raise DatastoreError(
                    f"{server.name} did not answer in {_START_SECONDS:.0f} s; see {server.log}"
                )
            time.sleep(_POLL_SECONDS)


class Fresh:
    """One database and one Redis database of running `Datastores`, for one test."""

    def __init__(self, stores: Datastores, name: str, number: int) -> None:
        self.stores = stores
        self.name = name
        self.number = number

    def database(self, role: str) -> DatabaseSettings:
        """The fresh database as "session", "banking" or "owner"."""
        return self.stores.database(role, self.name)

    def superuser(self) -> DatabaseSettings:
        """The fresh database as its administrator."""
        return self.stores.superuser(self.name)

    def redis(self, user: str) -> RedisSettings:
        """The fresh Redis database as "session", "banking" or "admin"."""
        return self.stores.redis(user, self.number)

    def drop(self) -> None:
        """Removes the database (7 MB of disk in 300 files), whoever is connected to it."""
        self.stores.drop(self.name)


@contextlib.contextmanager
def temporary(binaries: Binaries | None = None, *, durable: bool = False) -> Iterator[Datastores]:
    """Datastores in a folder that goes with them; `durable` where their speed is measured."""
    folder = Path(tempfile.mkdtemp(prefix="tellerline-stores-"))
    try:
        with Datastores(folder, binaries, durable=durable) as stores:
            try:
                yield stores
            finally:
                stores.stop(data_goes=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
