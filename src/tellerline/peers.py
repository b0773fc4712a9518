"""The server side of mutual TLS: certificates read again when they change, and who may come in."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from tellerline.errors import SettingsError
from tellerline.settings import Tls

log = logging.getLogger(__name__)


def credentials(tls: Tls) -> grpc.ServerCredentials:
    """Server credentials that demand a certificate of every client and follow the files of `tls`.

    Raises SettingsError when a file cannot be read.
    """
    seen = [_stamp(tls)]
    try:
        first = _configuration(tls)
    except OSError as error:
        raise SettingsError(
            f"tls: {error.filename}: cannot be read ({error.strerror}); give PEM files"
        ) from error

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # On every new connection. A half-written pair fails this one handshake at most.
        try:
            stamp = _stamp(tls)
            if stamp == seen[0]:
                return None
            fresh = _configuration(tls)
        except OSError as error:
            log.error("tls: %s: %s; the certificate in use stays", error.filename, error.strerror)
            return None
        seen[0] = stamp
        return fresh

    return grpc.dynamic_ssl_server_credentials(first, fetch, require_client_authentication=True)


class AllowedPeers(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets in clients whose certificate bears one of `names`; refuses others with PERMISSION_DENIED."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(names)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Wraps the handler: who calls is known only once it runs."""
        handler = await continuation(details)
        if handler is None:
            return None
        for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            inner = getattr(handler, kind)
            if inner is not None:
                make = getattr(grpc, f"{kind}_rpc_method_handler")
                guarded = self._streaming(inner) if kind.endswith("stream") else self._replying(inner)
                return make(guarded, handler.request_deserializer, handler.response_serializer)
        return None

    def _replying(self, inner: Any) -> Any:
        async def guarded(request: Any, context: grpc.aio.ServicerContext) -> Any:
            await self._check(context)
            return await inner(request, context)

        return guarded

    def _streaming(self, inner: Any) -> Any:
        async def guarded(request: Any, context: grpc.aio.ServicerContext) -> Any:
            await self._check(context)
            async for reply in inner(request, context):
                yield reply

        return guarded

    async def _check(self, context: grpc.aio.ServicerContext) -> None:
        names = {name.decode(errors="replace") for name in context.auth_context().get("x509_common_name", ())}
        if not names & self._names:
            log.warning("refused a peer that calls itself %s", ", ".join(sorted(names)) or "nothing")
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this peer is not on the list")


def _configuration(tls: Tls) -> grpc.ServerCertificateConfiguration:
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=tls.authority.read_bytes())


def _stamp(tls: Tls) -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns for path in (tls.certificate, tls.key, tls.authority))
