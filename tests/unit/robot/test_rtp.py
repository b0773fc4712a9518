"""RTP packets and telephone events."""

import pytest

from tellerline.robot import rtp


def test_a_packet_is_read_as_it_was_built() -> None:
    data = rtp.build(0, True, 65535, 4294967295, 7, b"payload")
    assert rtp.parse(data) == rtp.Packet(0, True, 65535, 4294967295, 7, b"payload")


def test_extension_csrc_and_padding_are_skipped() -> None:
    plain = rtp.build(8, False, 1, 2, 3, b"")
    head = bytes([0x80 | 0x20 | 0x10 | 1]) + plain[1:]
    data = head + b"CSRC" + b"\xbe\xde\x00\x01" + b"EXTN" + b"audio" + b"\0\0\x03"
    packet = rtp.parse(data)
    assert packet is not None
    assert packet.payload == b"audio"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x00",
        b"INVITE sip:x SIP/2.0",
        bytes([0x80, 200]) + bytes(26),  # an RTCP sender report
        bytes([0x90, 0]) + bytes(10),  # an extension that is not there
        bytes([0xA0, 0]) + bytes(9) + b"\xff",  # more padding than packet
    ],
)
def test_what_is_not_rtp_is_nothing(data: bytes) -> None:
    assert rtp.parse(data) is None


def test_a_digit_is_one_event_with_three_ends() -> None:
    ticks = rtp.digit_packets("#", duration_ms=100)
    assert [len(tick) for tick in ticks] == [1, 1, 1, 1, 3]
    assert [tick[0].marker for tick in ticks] == [True, False, False, False, False]
    event, flags, *duration = ticks[-1][0].payload
    assert (event, flags & 0x80, int.from_bytes(bytes(duration), "big")) == (11, 0x80, 800)
    assert all(tick[0].payload[1] & 0x80 == 0 for tick in ticks[:-1])


@pytest.mark.parametrize("key", ["", "E", "12", "é"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        rtp.digit_packets(key)
