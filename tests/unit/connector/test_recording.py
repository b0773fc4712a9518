from __future__ import annotations

import base64
import os
import stat
import wave
from pathlib import Path

import pytest

from tellerline.connector import recording
from tellerline.connector.media import SILENCE
from tellerline.connector.recording import Recorder, RecordingFile, SiteKey
from tellerline.errors import RecordingError, SettingsError
from tellerline.settings import RecordingSettings

CALL = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
ONES, TWOS = b"\x01\x00" * 160, b"\x02\x00" * 160


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recordings" / "call.tlrec"


@pytest.fixture
def key() -> bytes:
    return recording.new_key()


def _record(path: Path, key: bytes, seconds: int, last: bool = True) -> None:
    file = RecordingFile(path, CALL, key)
    file.open()
    for second in range(seconds):
        file.write(bytes((second, 0)) * 8000, b"\x07\x00" * 8000)
    if last:
        file.write(ONES, TWOS, last=True)
    file.close()


def test_what_was_written_is_read_and_not_before(path: Path, key: bytes) -> None:
    _record(path, key, 2)
    chunks = list(recording.read(path, CALL, key))
    assert [last for _, last in chunks] == [False, False, True]
    assert chunks[0][0] == b"\x00\x00\x07\x00" * 8000
    assert chunks[2][0] == b"\x01\x00\x02\x00" * 160
    assert b"\x07\x00" * 8 not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("at", [3, 20, 32, 40, -1], ids=["magic", "call", "flags", "sound", "tag"])
def test_one_changed_bit_is_seen(path: Path, key: bytes, at: int) -> None:
    _record(path, key, 2)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordingError):
        list(recording.read(path, CALL, key))


def test_chunks_cannot_change_places_nor_calls(path: Path, key: bytes) -> None:
    _record(path, key, 2)
    data = path.read_bytes()
    size = 4 + 32000 + 16
    swapped = data[:32] + data[32 + size : 32 + 2 * size] + data[32 : 32 + size] + data[32 + 2 * size :]
    path.write_bytes(swapped)
    with pytest.raises(RecordingError, match="second 0 was altered"):
        list(recording.read(path, CALL, key))
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="is no recording of call"):
        list(recording.read(path, OTHER, key))


def test_a_cut_tail_shows_and_the_rest_is_heard(path: Path, key: bytes, tmp_path: Path) -> None:
    _record(path, key, 3, last=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert [last for _, last in recording.read(path, CALL, key)] == [False, False]
    assert recording.measure(path) == (2.0, len(whole) - 100)
    assert recording.measure(tmp_path / "none") == (0.0, 0)
    assert recording.export(path, CALL, key, tmp_path / "out.wav") is False
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 8000, 16000)


def test_an_export_is_private_and_leaves_nothing_behind_a_wrong_key(
    path: Path, key: bytes, tmp_path: Path
) -> None:
    _record(path, key, 1)
    out = tmp_path / "out.wav"
    with pytest.raises(RecordingError):
        recording.export(path, CALL, recording.new_key(), out)
    assert not out.exists()
    assert recording.export(path, CALL, key, out) is True
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def _site_key(tmp_path: Path, key_id: str = "1", text: bytes | None = None) -> SiteKey:
    file = tmp_path / "site.key"
    if text is not None or not file.exists():
        file.write_bytes(base64.b64encode(os.urandom(32)) if text is None else text)
    return SiteKey(RecordingSettings(folder=tmp_path, site_key=file, key_id=key_id))


def test_a_wrapped_key_opens_for_its_call_and_site_key_alone(tmp_path: Path, key: bytes) -> None:
    site = _site_key(tmp_path)
    wrapped = site.wrap(key, CALL)
    assert key not in wrapped
    assert site.unwrap(wrapped, CALL) == key
    for other, call in ((site, OTHER), (_site_key(tmp_path, key_id="2"), CALL)):
        with pytest.raises(RecordingError, match="does not open with site key"):
            other.unwrap(wrapped, call)
    with pytest.raises(RecordingError):
        site.unwrap(b"", CALL)


@pytest.mark.parametrize(
    ("text", "said"), [(b"c2hvcnQ=", "holds 5 bytes, must be 32"), (b"\xff", "is not base64")]
)
def test_a_wrong_site_key_is_refused_with_its_file(tmp_path: Path, text: bytes, said: str) -> None:
    with pytest.raises(SettingsError, match=rf"site\.key: {said}"):
        _site_key(tmp_path, text=text)
    with pytest.raises(SettingsError, match="No such file"):
        SiteKey(RecordingSettings(site_key=tmp_path / "none"))


class Tape:
    """What a recorder passes on."""

    def __init__(self) -> None:
        self.caller, self.bot = b"", b""
        self.recorder = Recorder(self._write)

    def _write(self, caller: bytes, bot: bytes) -> None:
        assert len(caller) == len(bot) == 16000
        self.caller += caller
        self.bot += bot

    def all(self) -> tuple[list[bytes], list[bytes]]:
        """Both sides whole, in frames."""
        caller, bot = self.recorder.rest()
        sides = (self.caller + caller, self.bot + bot)
        return tuple([side[at : at + 320] for at in range(0, len(side), 320)] for side in sides)  # type: ignore[return-value]


def test_sides_stay_together_and_gaps_are_silent_on_both() -> None:
    tape = Tape()
    for tick in range(200):
        tape.recorder.paused = 50 <= tick < 60
        tape.recorder.add(ONES, TWOS, gap=100 <= tick < 110)
    caller, bot = tape.all()
    assert tape.recorder.seconds == 4.0
    gaps = {*range(50, 60), *range(100, 110)}
    assert [tick for tick in range(200) if caller[tick] == SILENCE] == sorted(gaps)
    assert [tick for tick in range(200) if bot[tick] == SILENCE] == sorted(gaps)
    assert caller[0] == ONES and bot[199] == TWOS


def test_the_callers_last_sound_can_be_taken_back() -> None:
    tape = Tape()
    for _ in range(74):
        tape.recorder.add(ONES, TWOS)
    tape.recorder.blank(0.3)
    tape.recorder.add(ONES, TWOS)
    caller, bot = tape.all()
    assert [tick for tick in range(75) if caller[tick] == SILENCE] == list(range(59, 74))
    assert SILENCE not in bot


def test_taking_back_reaches_no_further_than_what_is_held() -> None:
    tape = Tape()
    tape.recorder.blank(0.3)
    for _ in range(5):
        tape.recorder.add(ONES, TWOS)
    tape.recorder.blank(5.0)
    assert tape.all()[0] == [SILENCE] * 5
