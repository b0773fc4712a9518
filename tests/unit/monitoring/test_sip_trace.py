"""SIP traces tell nothing of a person: seeded numbers, names and keys, in places known and unknown."""

from __future__ import annotations

import importlib.util
import socket
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "roles" / "sip_trace" / "files" / "sip_trace.py"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


sip_trace = loaded(SCRIPT)

NUMBER = "4917212345678"
INVITE = f"""INVITE sip:908501234567@192.0.2.11;user=phone SIP/2.0
Via: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK776
From: "Ayşe Yılmaz, {NUMBER}" <sip:+{NUMBER}@carrier.example>;tag=1928
To: <sip:908501234567@bank.example>
P-Asserted-Identity: <tel:+{NUMBER};phone-context=secret>, "A" <sip:{NUMBER};ext=77@carrier.example>
Diversion: <sip:{NUMBER}@carrier.example>;reason=unconditional;note={NUMBER}
Contact: <sip:{NUMBER}@192.0.2.10:5061;transport=tls;gr={NUMBER}?X={NUMBER}>
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Identity: eyJ{NUMBER}
X-Customer:
  {NUMBER}
User-to-User: {NUMBER}
Content-Type: application/sdp
Content-Length: 0

v=0
o={NUMBER} 1 1 IN IP4 192.0.2.10
s={NUMBER}
c=IN IP4 192.0.2.10
t=0 0
m=audio 30000 RTP/SAVP 8 101
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9
a=rtpmap:101 telephone-event/8000
""".replace("\n", "\r\n").encode()


def hep(message: bytes, kind: int = 1) -> bytes:
    chunks = [
        (1, b"\x02"),
        (2, b"\x11"),
        (3, socket.inet_aton("192.0.2.10")),
        (4, socket.inet_aton("192.0.2.11")),
        (7, struct.pack("!H", 5061)),
        (8, struct.pack("!H", 5060)),
        (9, struct.pack("!I", 1_790_000_000)),
        (10, struct.pack("!I", 123_456)),
        (11, bytes([kind])),
        (15, message),
    ]
    inner = b"".join(struct.pack("!HHH", 0, number, len(value) + 6) + value for number, value in chunks)
    return b"HEP3" + struct.pack("!H", len(inner) + 6) + inner


def masked(message: bytes, *clear: str) -> str:
    text = sip_trace.Masking(frozenset(clear)).message(message)
    assert isinstance(text, str)
    return text


def test_nothing_of_a_person_is_written() -> None:
    text = masked(INVITE)
    for secret in (NUMBER, "Ay", "lmaz", "secret", "WVNf", "eyJ", "908501234567"):
        assert secret not in text


def test_what_mends_a_call_is_written() -> None:
    lines = masked(INVITE).splitlines()
    assert lines[0] == "INVITE sip:***67@192.0.2.11;user=phone SIP/2.0"
    assert 'from: "***" <sip:***78@carrier.example>;tag=1928' in lines
    assert 'p-asserted-identity: <tel:***78;phone-context=***>, "***" <sip:***@carrier.example>' in lines
    assert "diversion: <sip:***78@carrier.example>;reason=unconditional;note=***" in lines
    assert "contact: <sip:***78@192.0.2.10:5061;transport=tls;gr=***?***>" in lines
    assert "via: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK776" in lines
    assert "call-id: a84b4c76e66710" in lines
    assert "x-customer: (13 characters withheld)" in lines
    assert lines[-1] == "a=rtpmap:101 telephone-event/8000"
    assert "a=crypto:***" in lines
    assert "o=*** 1 1 IN IP4 192.0.2.10" in lines


def test_the_banks_own_number_may_be_written() -> None:
    assert "<sip:908501234567@bank.example>" in masked(INVITE, "908501234567")


@pytest.mark.parametrize("kind", ["application/dtmf-relay", "application/dtmf", "multipart/mixed", ""])
def test_keys_pressed_are_not_written(kind: str) -> None:
    info = f"INFO sip:a@b SIP/2.0\r\nCSeq: 2 INFO\r\nContent-Type: {kind}\r\n\r\nSignal=7\r\nDuration=160\r\n"
    text = masked(info.encode())
    assert "7" not in text.partition("content-type")[2]
    assert "bytes withheld" in text


@given(
    st.sampled_from(["Subject", "From", "f", "Contact", "m", "X-Any", "Authorization", "Referred-By", "b"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30),
)
def test_a_number_is_masked_wherever_it_stands_in_an_address(name: str, before: str, after: str) -> None:
    # A host is written as it is: what stands behind the last @ of an address is one.
    after = after.replace("@", "")
    message = f"INVITE sip:a@b SIP/2.0\r\n{name}: {before}sip:{NUMBER}@h{after}\r\n\r\n".encode()
    text = sip_trace.entry(hep(message), sip_trace.Masking())
    assert NUMBER not in text


@given(st.binary(max_size=300))
def test_what_is_not_sip_is_withheld(noise: bytes) -> None:
    text = sip_trace.entry(hep(NUMBER.encode() + b" " + noise), sip_trace.Masking())
    assert NUMBER not in text
    sip_trace.entry(noise, sip_trace.Masking())
    sip_trace.entry(b"HEP3" + noise, sip_trace.Masking())


def test_where_a_message_went_is_written() -> None:
    text = sip_trace.entry(hep(INVITE), sip_trace.Masking())
    first = "2026-09-21T14:13:20.123456+00:00 192.0.2.10:5061 > 192.0.2.11:5060 UDP"
    assert text.splitlines()[0] == first


def test_other_kinds_of_capture_are_passed_over() -> None:
    assert sip_trace.entry(hep(INVITE, kind=5), sip_trace.Masking()) is None
