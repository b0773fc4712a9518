"""G.711 against the reference tables of Python's audioop (removed in 3.13; vectors below stay)."""

import numpy as np
import pytest

from tellerline.robot.g711 import PCMA, PCMU, Codec

EVERY_SAMPLE = np.arange(65536, dtype=np.uint16).view(np.int16)

# ITU-T G.711 tables 1 and 2, scaled to 16 bits: silence, the ends of the scale, and both signs.
KNOWN = [
    (PCMU, 0, 0xFF),
    (PCMU, 32767, 0x80),
    (PCMU, -32768, 0x00),
    (PCMU, 1000, 0xCE),
    (PCMU, -1000, 0x4E),
    (PCMA, 0, 0xD5),
    (PCMA, 32767, 0xAA),
    (PCMA, -32768, 0x2A),
    (PCMA, 1000, 0xFA),
    (PCMA, -1000, 0x7A),
]


@pytest.mark.parametrize(("codec", "sample", "code"), KNOWN)
def test_known_vectors(codec: Codec, sample: int, code: int) -> None:
    assert codec.encode(np.array([sample], np.int16)) == bytes([code])


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_every_sample_becomes_the_code_that_decodes_nearest(codec: Codec) -> None:
    decoded = codec.decode(codec.encode(EVERY_SAMPLE)).astype(np.int32)
    error = np.abs(decoded - EVERY_SAMPLE)
    # Steps of the coarsest segment are 1,024; half of one, and the clipped ends.
    assert error.max() <= 644
    assert (error <= np.maximum(16, np.abs(EVERY_SAMPLE.astype(np.int32)) // 16)).all()


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_every_code_comes_back(codec: Codec) -> None:
    codes = bytes(range(256))
    again = codec.encode(codec.decode(codes))
    # PCMU has two zeros; the negative one is written as the positive one.
    assert [a for a, b in zip(codes, again, strict=True) if a != b] == ([0x7F] if codec is PCMU else [])


def test_audible_codes_are_those_above_the_threshold() -> None:
    table = PCMU.audible_table(184)
    quiet, loud = PCMU.encode(np.array([150, -150], np.int16)), PCMU.encode(np.array([250, -250], np.int16))
    assert quiet.translate(table) == b"\0\0"
    assert loud.translate(table) == b"\x01\x01"
