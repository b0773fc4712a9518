from __future__ import annotations

import pytest

from tellerline.connector.dtmf import Typist
from tellerline.connector.secret_sink import _request, _zero
from tellerline.rpc import banking_pb2

TYPIST = Typist("0123456789abcdef0123456789abcdef", "+493012345678")


@pytest.mark.parametrize("digits", [b"1234", b"123456789012", b"9" * 32])
def test_a_request_says_what_was_typed_and_its_length_does_not(digits: bytes) -> None:
    request = _request(TYPIST, "customer_number", bytearray(digits))
    assert len(request) == len(_request(Typist("c", ""), "pin", bytearray(b"1")))
    # Above this glibc overwrites what is freed (malloc.c, MAX_TCACHE_SIZE).
    assert len(request) > 1032
    parsed = banking_pb2.SecretRequest.FromString(request)
    assert (parsed.digits, parsed.purpose, parsed.call_id, parsed.caller) == (
        digits,
        "customer_number",
        TYPIST.call_id,
        TYPIST.caller,
    )
    assert set(parsed.padding) == {0}


def test_zeroing_leaves_nothing_and_touches_nothing_else() -> None:
    before, secret, after = bytes([7]) * 40, bytes(range(1, 41)), bytes([8]) * 40
    _zero(secret)
    assert secret == bytes(40)
    assert (before, after) == (bytes([7]) * 40, bytes([8]) * 40)
