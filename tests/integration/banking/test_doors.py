"""Between hosts: pipelines come to one door and connectors to the other, and neither to both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from bank.certificates import Authority
from free_ports import free_port

from tellerline.banking import server
from tellerline.instances import Instances
from tellerline.rpc import banking_pb2 as pb
from tellerline.rpc import banking_pb2_grpc
from tellerline.settings import BankingSettings, ServiceAddresses, Tls


@pytest.fixture
def tls(tmp_path: Path) -> Callable[[str, str], Tls]:
    """What `name` shows, and whom it talks to."""
    authority = Authority(tmp_path)

    def sign(name: str, peer: str) -> Tls:
        signed = authority.sign(name)
        return Tls(
            certificate=signed.certificate, key=signed.key, authority=authority.certificate, peers=(peer,)
        )

    return sign


async def test_a_pipeline_cannot_guess_pins_nor_a_connector_ask_balances(
    chosen: BankingSettings, tls: Callable[[str, str], Tls]
) -> None:
    """Each door has a list of its own."""
    settings = chosen.model_copy(
        update={
            "listen": f"127.0.0.1:{free_port()}",
            "secrets_listen": f"127.0.0.1:{free_port()}",
            "tls": tls("banking", "pipeline"),
            "secrets_tls": tls("banking", "connector"),
        }
    )
    number = pb.SecretRequest(call_id="call", purpose="customer_number", digits=b"1")
    call = pb.CallRequest(call_id="call")

    async def ask(who: str, address: str, stub: Any, rpc: str, request: Any) -> grpc.StatusCode:
        service = ServiceAddresses(addresses=(address,), tls=tls(who, "banking"))
        async with Instances(service, stub) as instances:
            try:
                await instances.call(rpc, request, 5.0)
            except grpc.aio.AioRpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    secrets = (settings.secrets_listen, banking_pb2_grpc.SecretInputStub, "Submit", number)
    banking = (settings.listen, banking_pb2_grpc.BankingStub, "Authentication", call)
    async with server.running(settings):
        assert await ask("connector", *secrets) == grpc.StatusCode.OK
        assert await ask("pipeline", *banking) == grpc.StatusCode.OK
        assert await ask("pipeline", *secrets) == grpc.StatusCode.PERMISSION_DENIED
        assert await ask("connector", *banking) == grpc.StatusCode.PERMISSION_DENIED
