"""What a connector sends, byte for byte as it sends it, to the service that checks it."""

from __future__ import annotations

from tellerline.connector.dtmf import Outcome, Typist
from tellerline.connector.secret_sink import BankingSecrets
from tellerline.rpc import banking_pb2 as pb
from tellerline.settings import ServiceAddresses

from .conftest import EMMA, EMMA_PIN, Service


async def test_a_connectors_requests_are_understood_and_leave_no_digit_in_its_hands(service: Service) -> None:
    sink = BankingSecrets(ServiceAddresses(addresses=(service.chosen.secrets_listen,)))
    typist = Typist("0123456789abcdef0123456789abcdef", "447700900123")
    try:
        assert await sink.check(typist, "customer_number", bytearray(EMMA)) == Outcome.ACCEPTED
        assert await sink.check(typist, "pin", bytearray(b"0000")) == Outcome.REJECTED
        assert await sink.check(typist, "customer_number", bytearray(EMMA)) == Outcome.ACCEPTED
        assert await sink.check(typist, "pin", bytearray(EMMA_PIN)) == Outcome.ACCEPTED
    finally:
        await sink.close()
    level = (await service.client.look(typist.call_id)).level
    assert level == pb.AuthenticationReply.AUTHENTICATED
