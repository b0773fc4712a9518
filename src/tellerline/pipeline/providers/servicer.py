"""Serves the Providers service: what an operator sees of the providers, and switches."""

from __future__ import annotations

import grpc

from tellerline.errors import SettingsError
from tellerline.pipeline.providers.site import KINDS, NAMES, Providers
from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc as rpc


class ProvidersServicer(rpc.ProvidersServicer):
    """The providers of one pipeline."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    async def Show(
        self, request: pb.ShowProvidersRequest, context: grpc.aio.ServicerContext
    ) -> pb.ProvidersReply:
        """The orders of this moment, and the state of every provider there is."""
        return self._shown()

    async def Choose(
        self, request: pb.ChooseProvidersRequest, context: grpc.aio.ServicerContext
    ) -> pb.ProvidersReply:
        """Switches, for turns that begin from now on."""
        try:
            self._providers.choose({order.kind: order.providers for order in request.orders})
        except SettingsError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return self._shown()

    def _shown(self) -> pb.ProvidersReply:
        reply = pb.ProvidersReply()
        for kind in KINDS:
            reply.orders.add(kind=kind, providers=getattr(self._providers.strategy, kind))
            for name in NAMES[kind]:
                breaker = self._providers.breaker(kind, name)
                reply.states.add(
                    kind=kind,
                    provider=name,
                    breaker=breaker.state if breaker is not None else "",
                    missing=self._providers.settings.missing(kind, name) or "",
                )
        return reply
