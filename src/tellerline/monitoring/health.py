"""Asks daemons how they are: the standard gRPC health protocol, and the connector's own Status."""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tellerline.bootstrap import CHANNEL_OPTIONS
from tellerline.rpc import control_pb2, control_pb2_grpc

_ASK_SECONDS = 1.0


def serving(socket: Path) -> bool:
    """Whether the daemon at `socket` says SERVING. Blocks for up to a second."""
    with grpc.insecure_channel(f"unix:{socket}", options=CHANNEL_OPTIONS) as channel:
        try:
            ask = health_pb2_grpc.HealthStub(channel).Check
            reply = ask(health_pb2.HealthCheckRequest(), timeout=_ASK_SECONDS)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def takes_calls(socket: Path) -> bool:
    """Whether the connector at control socket `socket` is ready for calls. Blocks for up to a second."""
    with grpc.insecure_channel(f"unix:{socket}", options=CHANNEL_OPTIONS) as channel:
        try:
            ask = control_pb2_grpc.ControlStub(channel).Status
            reply = ask(control_pb2.StatusRequest(), timeout=_ASK_SECONDS)
        except grpc.RpcError:
            return False
        return bool(reply.state == "ready")
