"""What of a trunk's SDP reaches a lane: one line of audio, three codecs, nothing it was not asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from edge_process import Edge
from sip_end import SipEnd
from sip_phone import wait_until

_HEAD = "v=0\r\no=phone 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"


@pytest.fixture(scope="module")
def shown(at) -> Iterator[tuple[Edge, SipEnd]]:  # type: ignore[no-untyped-def]
    """An edge in front of a lane that only writes down what it is sent, and answers it."""
    with SipEnd(at(31)) as end, Edge(at, [end.address]) as edge:
        yield edge, end


def _dial(shown: tuple[Edge, SipEnd], body: str) -> tuple[int, str, str]:
    """Status, the SDP the lane saw, and the SDP the caller got."""
    edge, end = shown
    seen = len(end.requests)
    with edge.phone() as phone:
        answer = phone.invite(body.format(host=phone.host, port=phone.media_port))
        sdp = next((m.body for m in end.requests[seen:] if m.method == "INVITE"), "")
    wait_until(lambda: (edge.calls(), edge.media()) == (0, 0), 5, "the edge to forget the call")
    return answer.status, sdp, answer.body


def test_codecs_we_do_not_speak_are_left_out(shown: tuple[Edge, SipEnd]) -> None:
    status, sdp, _ = _dial(
        shown,
        _HEAD + "m=audio {port} RTP/AVP 9 0 18 8 96 97 3\r\na=rtpmap:96 telephone-event/8000\r\n"
        "a=fmtp:96 0-16,32-36\r\na=rtpmap:97 opus/48000/2\r\na=fmtp:97 useinbandfec=1\r\na=ptime:20\r\n",
    )
    assert status == 200
    assert re.findall(r"^m=.*", sdp, re.MULTILINE)[0].split()[3:] == ["0", "8", "96"]
    assert "opus" not in sdp and "fec" not in sdp
    assert re.findall(r"^a=fmtp:(.*)\r", sdp, re.MULTILINE) == ["96 0-15"]
    assert "a=ptime:20\r\n" in sdp


def test_only_one_line_of_audio_is_passed_and_the_answer_names_all(shown: tuple[Edge, SipEnd]) -> None:
    status, sdp, answer = _dial(
        shown,
        _HEAD + "m=video 4000 RTP/AVP 31\r\nm=audio {port} RTP/AVP 0\r\nm=audio 4444 RTP/AVP 0\r\n"
        "m=application 5000 TCP/BFCP *\r\n",
    )
    assert status == 200
    assert len(re.findall(r"^m=", sdp, re.MULTILINE)) == 1
    lines = re.findall(r"^m=(\S+) (\d+)", answer, re.MULTILINE)
    assert [name for name, _ in lines] == ["video", "audio", "audio", "application"]
    assert [port != "0" for _, port in lines] == [False, True, False, False]


@pytest.mark.parametrize("ptime", [10, 20, 30, 40, 50, 60])
def test_usual_packet_times_are_passed(shown: tuple[Edge, SipEnd], ptime: int) -> None:
    status, sdp, _ = _dial(shown, _HEAD + f"m=audio {{port}} RTP/AVP 0\r\na=ptime:{ptime}\r\n")
    assert status == 200
    assert f"a=ptime:{ptime}\r\n" in sdp


@pytest.mark.parametrize("ptime", ["5", "65", "100", "4294967297", "-20", "20.5", "0"])
def test_packet_times_out_of_bounds_are_left_out(shown: tuple[Edge, SipEnd], ptime: str) -> None:
    status, sdp, _ = _dial(
        shown, _HEAD + f"m=audio {{port}} RTP/AVP 0\r\na=ptime:{ptime}\r\na=maxptime:900\r\n"
    )
    assert status == 200
    assert "a=ptime" not in sdp
    assert re.findall(r"a=maxptime:(\d+)", sdp) == ["60"]


def test_attributes_nobody_asked_for_are_left_out(shown: tuple[Edge, SipEnd]) -> None:
    junk = (
        "a="
        + "x" * 900
        + "\r\na=candidate:1 1 UDP 1 10.0.0.1 9 typ host\r\na=rtcp-fb:0 nack\r\na=extmap:1 urn:x\r\n"
    )
    status, sdp, _ = _dial(shown, _HEAD + "b=AS:4000000000\r\nm=audio {port} RTP/AVP 0\r\n" + junk)
    assert status == 200
    assert not re.search(r"xxx|candidate|rtcp-fb|extmap|b=", sdp)


def test_the_lane_hears_of_no_address_but_the_edges(shown: tuple[Edge, SipEnd]) -> None:
    _, sdp, _ = _dial(shown, _HEAD + "m=audio {port} RTP/AVP 0\r\n")
    assert set(re.findall(r"IP4 (\S+)", sdp)) == {shown[0].inside}


@pytest.mark.parametrize(
    "body",
    [
        "m=audio {port} RTP/AVP 9 18\r\n",
        "m=audio {port} RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\n",
        "m=audio {port} UDP/TLS/RTP/SAVPF 0\r\n",
        "m=audio {port} RTP/AVPF 0\r\n",
        "m=audio 99999999999 RTP/AVP 0\r\n",
        "m=audio {port}/2 RTP/AVP 0\r\n",
        "m=video {port} RTP/AVP 31\r\n",
        "m=audio {port} RTP/AVP " + " ".join(["0"] * 60) + "\r\n",
        "m=audio {port} RTP/AVP 0\r\n" + "m=audio 4000 RTP/AVP 0\r\n" * 12,
    ],
    ids=["codecs", "srtp", "dtls", "avpf", "port", "ports", "video", "formats", "lines"],
)
def test_what_a_lane_could_not_take_is_refused_at_the_edge(shown: tuple[Edge, SipEnd], body: str) -> None:
    status, sdp, _ = _dial(shown, _HEAD + body)
    assert (status, sdp) == (488, "")


def test_an_address_that_is_none_is_refused(shown: tuple[Edge, SipEnd]) -> None:
    body = "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 evil.example\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    status, sdp, _ = _dial(shown, body)
    assert (status, sdp) == (488, "")


def test_an_offer_in_a_call_is_reduced_too(shown: tuple[Edge, SipEnd]) -> None:
    edge, end = shown
    with edge.phone() as phone:
        assert phone.invite().status == 200
        seen = len(end.requests)
        again = phone.invite(phone.sdp((9, 0, 101), extra="a=ptime:250\r\na=x-evil:1\r\n"))
        assert again.status == 200
        sdp = next(m.body for m in end.requests[seen:] if m.method == "INVITE")
        assert re.findall(r"^m=.*RTP/AVP (.*)\r", sdp, re.MULTILINE) == ["0 101"]
        assert "evil" not in sdp and "ptime:250" not in sdp
        refused = phone.invite(phone.sdp((9,)))
        assert refused.status == 488
        phone.talk().sending = False


def test_a_body_beside_the_sdp_is_left_out(shown: tuple[Edge, SipEnd]) -> None:
    edge, end = shown
    seen = len(end.requests)
    with edge.phone() as phone:
        parts = (
            "--b\r\nContent-Type: application/sdp\r\n\r\n" + phone.sdp() + "\r\n"
            "--b\r\nContent-Type: application/isup\r\n\r\nsecret\r\n--b--\r\n"
        )
        final = phone.transact(phone.request("INVITE", parts, content="multipart/mixed;boundary=b"))
        assert final.status == 200
        phone.to, phone.up = final.header("To"), True
        phone.send(phone.request("ACK", cseq=phone.cseq))
        invite = next(m for m in end.requests[seen:] if m.method == "INVITE")
        assert invite.header("Content-Type") == "application/sdp"
        assert "secret" not in invite.body
