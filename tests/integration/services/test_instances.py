"""An address list over real gRPC servers: unix sockets, and the network with mutual TLS."""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from free_ports import free_port
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tellerline import bootstrap
from tellerline.errors import SettingsError
from tellerline.instances import Instances
from tellerline.settings import ServiceAddresses, Tls

_ASK = health_pb2.HealthCheckRequest()
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Authority:
    """Signs certificates."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = folder / f"{name}.pem"
        certificate = self._signed(self._name, self._key.public_key(), is_authority=True)
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, peers: tuple[str, ...], file: str = "") -> Tls:
        """A certificate and key for `name`, and whom it talks to."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(subject, key.public_key())
        tls = Tls(
            certificate=self._folder / f"{file or name}.crt",
            key=self._folder / f"{file or name}.key",
            authority=self.path,
            peers=peers,
        )
        tls.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        tls.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return tls

    def _signed(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, is_authority: bool = False
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            (name,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            names = x509.SubjectAlternativeName([x509.DNSName(str(name.value))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


Serve = Callable[..., Awaitable[grpc.aio.Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers: `serve(address, tls, status)`."""
    running = []

    async def start(address: str, tls: Tls | None = None, status: int = _SERVING) -> grpc.aio.Server:
        server, health = bootstrap.listen(address, tls)
        await server.start()
        await health.set("", status)
        running.append(server)
        return server

    yield start
    for server in running:
        await server.stop(None)


@pytest.fixture
def sockets() -> list[str]:
    folder = Path(tempfile.mkdtemp(prefix="tellerline-instances-"))
    return [f"unix:{folder / name}" for name in ("a", "b")]


@pytest.fixture
def address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


async def ask(instances: Instances) -> int:
    reply = await instances.call("Check", _ASK, within_seconds=3.0)
    return int(reply.status)


async def eventually(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def touch(*paths: Path) -> None:
    """As if written later, however coarse the file system's clock is."""
    for path in paths:
        os.utime(path, (2_000_000_000, 2_000_000_000))


def client(tls: Tls | None, *addresses: str) -> Instances:
    return Instances(ServiceAddresses(addresses=addresses, tls=tls), health_pb2_grpc.HealthStub)


async def test_next_instance_is_tried_and_kept(serve: Serve, sockets: list[str]) -> None:
    first = await serve(sockets[0])
    await serve(sockets[1], None, _NOT_SERVING)
    async with client(None, *sockets) as instances:
        assert [await ask(instances) for _ in range(3)] == [_SERVING] * 3
        await first.stop(None)
        assert await ask(instances) == _NOT_SERVING
        # The first is back, and nobody leaves one that works.
        await serve(sockets[0])
        assert [await ask(instances) for _ in range(3)] == [_NOT_SERVING] * 3


async def test_nobody_there_is_unavailable(sockets: list[str]) -> None:
    async with client(None, *sockets) as instances:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(instances)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_instance_that_does_not_answer_costs_one_deadline(serve: Serve, sockets: list[str]) -> None:
    # Accepts the connection, and is silent: a process stopped in its tracks.
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(sockets[0].removeprefix("unix:"))
        silent.listen()
        await serve(sockets[1])
        async with client(None, *sockets) as instances:
            replies = []
            for _ in range(2):
                try:
                    replies.append((await instances.call("Check", _ASK, within_seconds=1.0)).status)
                except grpc.aio.AioRpcError as error:
                    replies.append(error.code())
            assert replies[-1] == _SERVING


async def test_another_answer_is_no_reason_to_ask_elsewhere(serve: Serve, sockets: list[str]) -> None:
    await serve(sockets[0])
    await serve(sockets[1])
    async with client(None, *sockets) as instances:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            unknown = health_pb2.HealthCheckRequest(service="unknown")
            await instances.call("Check", unknown, within_seconds=3.0)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_network_without_tls_is_refused() -> None:
    with pytest.raises(SettingsError, match="tls"):
        client(None, "127.0.0.1:7199")
    with pytest.raises(SettingsError, match="tls"):
        bootstrap.listen("127.0.0.1:7199", None)


async def test_listed_peers_talk(serve: Serve, address: str, authority: Authority) -> None:
    await serve(address, authority.issue("session", ("pipeline",)))
    async with client(authority.issue("pipeline", ("session",)), address) as instances:
        assert await ask(instances) == _SERVING


@pytest.mark.parametrize(
    ("client_name", "server_name", "code"),
    [
        ("stranger", "session", grpc.StatusCode.PERMISSION_DENIED),
        ("pipeline", "impostor", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_peer_that_is_not_on_the_list_is_refused(
    serve: Serve,
    address: str,
    authority: Authority,
    client_name: str,
    server_name: str,
    code: grpc.StatusCode,
) -> None:
    await serve(address, authority.issue(server_name, ("pipeline",)))
    async with client(authority.issue(client_name, ("session",)), address) as instances:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(instances)
        assert refused.value.code() == code


async def test_certificate_of_another_authority_is_refused(
    serve: Serve, address: str, authority: Authority, tmp_path: Path
) -> None:
    await serve(address, authority.issue("session", ("pipeline",)))
    other = Authority(tmp_path, "other").issue("pipeline", ("session",))
    forged = other.model_copy(update={"authority": authority.path})
    async with client(forged, address) as instances:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(instances)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_client_without_a_certificate_is_refused(
    serve: Serve, address: str, authority: Authority
) -> None:
    await serve(address, authority.issue("session", ("pipeline",)))
    credentials = grpc.ssl_channel_credentials(authority.path.read_bytes())
    options = (("grpc.ssl_target_name_override", "session"),)
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await health_pb2_grpc.HealthStub(channel).Check(_ASK, timeout=3.0)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_certificates_change_without_a_restart(
    serve: Serve, address: str, authority: Authority, tmp_path: Path
) -> None:
    server = authority.issue("session", ("pipeline",))
    await serve(address, server)
    mine = authority.issue("pipeline", ("session",))
    async with client(mine, address) as instances:
        assert await ask(instances) == _SERVING
        # A new authority, and new certificates, in the same files.
        renewed = Authority(tmp_path, "renewed")
        renewed.issue("session", ("pipeline",), file="session")
        authority.path.write_bytes(renewed.path.read_bytes())
        touch(server.certificate, server.key, authority.path)
        # Connections that stand go on.
        assert await ask(instances) == _SERVING
        late = renewed.issue("pipeline", ("session",), file="late")
        async with client(late, address) as other:
            assert await ask(other) == _SERVING


async def test_the_first_call_after_a_restart_goes_with_new_certificates(
    serve: Serve, address: str, authority: Authority, tmp_path: Path
) -> None:
    running = await serve(address, authority.issue("session", ("pipeline",)))
    mine = authority.issue("pipeline", ("session",))
    async with client(mine, address) as instances:
        assert await ask(instances) == _SERVING
        renewed = Authority(tmp_path, "renewed")
        server = renewed.issue("session", ("pipeline",), file="session")
        renewed.issue("pipeline", ("session",), file="pipeline")
        authority.path.write_bytes(renewed.path.read_bytes())
        touch(mine.certificate, mine.key, mine.authority)
        await running.stop(None)
        await serve(address, server)
        assert await ask(instances) == _SERVING


async def test_a_connection_nobody_uses_is_given_up_when_its_certificates_are_old(
    serve: Serve, address: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would knock at a door that no longer knows it, for ever."""
    monkeypatch.setattr("tellerline.instances._LOOK_SECONDS", 0.1)
    running = await serve(address, authority.issue("session", ("pipeline",)))
    mine = authority.issue("pipeline", ("session",))
    async with client(mine, address) as instances:
        assert await ask(instances) == _SERVING
        (door,) = instances._open.values()
        touch(mine.certificate)
        await running.stop(None)
        await eventually(lambda: door.channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN)


async def test_a_wrong_name_is_given_up_once_the_right_one_answers(
    serve: Serve, address: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tellerline.instances._LOOK_SECONDS", 0.1)
    await serve(address, authority.issue("session-2", ("pipeline",)))
    async with client(authority.issue("pipeline", ("session-1", "session-2")), address) as instances:
        assert await ask(instances) == _SERVING
        await eventually(lambda: len(instances._open) == 1)
        assert await ask(instances) == _SERVING


async def test_new_certificates_cut_no_call_under_way(address: str, authority: Authority) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Health(health_pb2_grpc.HealthServicer):
        async def Check(
            self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
        ) -> health_pb2.HealthCheckResponse:
            if request.service == "away":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "its database is away")
            begun.set()
            await go_on.wait()
            return health_pb2.HealthCheckResponse(status=_SERVING)

    tls = authority.issue("session", ("pipeline",))
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    await server.start()
    mine = authority.issue("pipeline", ("session",))
    try:
        async with client(mine, address) as instances:
            slow = asyncio.create_task(ask(instances))
            await begun.wait()
            touch(mine.certificate)
            away = health_pb2.HealthCheckRequest(service="away")
            with pytest.raises(grpc.aio.AioRpcError):
                await instances.call("Check", away, within_seconds=3.0)
            go_on.set()
            assert await slow == _SERVING
    finally:
        await server.stop(None)


async def test_every_name_on_the_clients_list_may_answer(
    serve: Serve, address: str, authority: Authority
) -> None:
    await serve(address, authority.issue("session-2", ("pipeline",)))
    async with client(authority.issue("pipeline", ("session-1", "session-2")), address) as instances:
        assert await ask(instances) == _SERVING


async def test_a_host_that_is_gone_is_tried_once(
    serve: Serve, address: str, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """The next address comes before the first one's other names."""
    # Takes connections and says nothing, as the network of a host does whose power is cut.
    with socket.socket() as gone, caplog.at_level("INFO", logger="tellerline.instances"):
        gone.bind(("127.0.0.1", 0))
        gone.listen()
        await serve(address, authority.issue("session.data2", ("pipeline",)))
        mine = authority.issue("pipeline", ("session.data1", "session.data2"))
        first = f"127.0.0.1:{gone.getsockname()[1]}"
        async with client(mine, first, address) as instances:
            reply = await instances.call("Check", _ASK, within_seconds=20.0)
            assert reply.status == _SERVING
    assert caplog.messages == [f"{first} does not answer; trying {address}"]
