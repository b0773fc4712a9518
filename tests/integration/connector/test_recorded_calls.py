"""Calls recorded by a connector process: both sides, gaps, deaths, a disk that takes nothing."""

from __future__ import annotations

import audioop
from itertools import pairwise
from pathlib import Path

from lane_processes import LaneMaker
from sip_phone import Phone, wait_until
from stand_in_services import SecretInput, Server, Session

from tellerline import settings
from tellerline.connector import recording
from tellerline.rpc import session_pb2

_SAID = b"\x9a" * 160
_SAID_PCM = audioop.ulaw2lin(_SAID, 2)
_SILENCE = bytes(320)
_SECOND = 50  # ticks

SessionService = tuple[Session, Server, settings.ServiceAddresses]


def _sides(
    site: settings.RecordingSettings, started: session_pb2.RecordingStarted, call_id: str
) -> list[list[bytes]]:
    """Caller and bot of a recording, in 20 ms frames."""
    key = recording.SiteKey(site).unwrap(started.wrapped_key, call_id)
    pcm = b"".join(chunk for chunk, _ in recording.read(site.folder / started.file, call_id, key))
    sides = [audioop.tomono(pcm, 2, 1, 0), audioop.tomono(pcm, 2, 0, 1)]
    return [[side[at : at + 320] for at in range(0, len(side), 320)] for side in sides]


def _talk(phone: Phone, ticks: int = _SECOND) -> None:
    phone.talk().frame = _SAID
    phone.talk().wait_packets(ticks)


def test_both_sides_are_recorded_with_a_gap_where_nobody_wants_it(
    make_lane: LaneMaker, session: SessionService, site: settings.RecordingSettings
) -> None:
    told, _, address = session
    lane = make_lane(session=address, recording=site)
    with lane.phone("record") as phone:
        phone.invite()
        _talk(phone)
        # The first key stops the recording, the second resumes it.
        phone.talk().digit(1)
        _talk(phone)
        phone.talk().digit(2)
        _talk(phone)
    wait_until(lambda: "call_closed" in told.kinds(), 5, "the closed call")
    assert told.kinds() == ["call_opened", "recording_started", "recording_ended", "call_closed"]
    started, ended = told.fact("recording_started"), told.fact("recording_ended")
    [call_id] = {call_id for call_id, _, _ in told.facts}
    assert (started.key_id, started.file, ended.complete) == ("2026", f"{call_id}.tlrec", True)
    caller, bot = _sides(site, started, call_id)
    assert len(caller) == len(bot) == round(ended.seconds * 50)
    assert ended.bytes == (site.folder / started.file).stat().st_size
    for side in (caller, bot):
        spoken = [tick for tick, frame in enumerate(side) if frame == _SAID_PCM]
        assert len(spoken) > _SECOND
        [gap] = [(a, b) for a, b in pairwise(spoken) if b - a > _SECOND // 2]
        # At both ends the key itself, whose packets take the voice's place: the far end's sound fades.
        assert set(side[gap[0] + 15 : gap[1] - 15]) == {_SILENCE}
    raw = (site.folder / started.file).read_bytes()
    assert _SAID_PCM[:16] not in raw


def test_dark_input_is_a_gap_on_both_sides(
    make_lane: LaneMaker,
    session: SessionService,
    banking: tuple[SecretInput, settings.ServiceAddresses],
    site: settings.RecordingSettings,
) -> None:
    told, _, address = session
    lane = make_lane(session=address, banking=banking[1], recording=site)
    with lane.phone("secret") as phone:
        phone.invite()
        wait_until(lambda: "dark input" in lane.log("pipeline"), 5, "the call to be attached")
        phone.talk().wait_packets(20)
        _talk(phone)
    wait_until(lambda: "call_closed" in told.kinds(), 5, "the closed call")
    [call_id] = {call_id for call_id, _, _ in told.facts}
    caller, bot = _sides(site, told.fact("recording_started"), call_id)
    assert len(caller) > _SECOND
    assert {*caller, *bot} == {_SILENCE}


def test_a_lane_without_a_site_key_records_nothing(make_lane: LaneMaker, session: SessionService) -> None:
    told, _, address = session
    lane = make_lane(session=address)
    with lane.phone("record") as phone:
        phone.invite()
        _talk(phone)
    wait_until(lambda: told.kinds() == ["call_opened", "call_closed"], 5, "the closed call")
    assert "no site key" in lane.log("connector")


def test_a_recording_goes_on_with_the_next_pipeline(
    make_lane: LaneMaker, session: SessionService, site: settings.RecordingSettings
) -> None:
    told, _, address = session
    lane = make_lane(session=address, recording=site)
    with lane.phone("record") as phone:
        phone.invite()
        _talk(phone)
        lane.kill_pipeline()
        lane.start_pipeline()
        wait_until(lambda: "resume=True, dark input 0, recording=True" in lane.log("pipeline"), 10, "it")
    wait_until(lambda: "call_closed" in told.kinds(), 5, "the closed call")
    assert told.kinds().count("recording_started") == 1
    assert told.fact("recording_ended").complete


def test_a_killed_connector_leaves_a_recording_that_is_heard_as_far_as_it_goes(
    make_lane: LaneMaker, session: SessionService, site: settings.RecordingSettings
) -> None:
    told, _, address = session
    lane = make_lane(session=address, recording=site)
    with lane.phone("record") as phone:
        phone.invite()
        _talk(phone, 4 * _SECOND)
        lane.connector.kill()
        lane.connector.wait()
        phone.up = False
    lane.start_connector()
    wait_until(lambda: "call_closed" in told.kinds(), 15, "the lost call")
    ended = told.fact("recording_ended")
    [call_id] = {call_id for call_id, _, _ in told.facts}
    assert not ended.complete and ended.seconds >= 2.0
    caller, _ = _sides(site, told.fact("recording_started"), call_id)
    assert len(caller) == ended.seconds * 50


def test_a_disk_that_takes_no_sound_costs_the_recording_and_not_the_call(
    make_lane: LaneMaker, session: SessionService, site: settings.RecordingSettings, tmp_path: Path
) -> None:
    told, _, address = session
    (tmp_path / "file").write_text("no folder")
    lane = make_lane(session=address, recording=site.model_copy(update={"folder": tmp_path / "file" / "x"}))
    with lane.phone("record") as phone:
        phone.invite()
        _talk(phone, 2 * _SECOND)
        assert phone.bye().status == 200
    wait_until(lambda: "call_closed" in told.kinds(), 5, "the closed call")
    assert not told.fact("recording_ended").complete
    assert told.fact("call_closed").reason == "caller"
