"""G.711 by table: PCMU and PCMA to and from 16-bit samples (ITU-T G.711)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

_MULAW_BIAS = 0x84
_MULAW_CLIP_14 = 8158


@dataclass(frozen=True)
class Codec:
    """One G.711 law: RTP payload type (RFC 3551), byte → sample table, sample (as uint16) → byte table."""

    name: str
    payload_type: int
    to_linear: Samples
    from_linear: npt.NDArray[np.uint8]

    def encode(self, samples: Samples) -> bytes:
        """One byte a sample."""
        return self.from_linear[samples.view(np.uint16)].tobytes()

    def decode(self, payload: bytes) -> Samples:
        """One sample a byte."""
        return self.to_linear[np.frombuffer(payload, np.uint8)]

    def audible_table(self, threshold: int) -> bytes:
        """A `bytes.translate` table: 1 for codes whose sample is above `threshold` in magnitude, else 0."""
        return (np.abs(self.to_linear.astype(np.int32)) > threshold).astype(np.uint8).tobytes()


def _all_samples() -> npt.NDArray[np.int32]:
    # Index i holds the sample whose two's complement bit pattern is i.
    samples: npt.NDArray[np.int32] = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    return samples


def _segment(magnitude: npt.NDArray[np.int32], first_bit: int) -> npt.NDArray[np.int32]:
    # How many doublings above the first segment: the position of the highest set bit, less first_bit.
    bit_length: npt.NDArray[np.int32] = np.frexp(magnitude.astype(np.float64))[1]
    return np.minimum(np.maximum(bit_length - first_bit, 0), 7)


def _mulaw() -> Codec:
    codes = ~np.arange(256, dtype=np.uint8)
    exponent = (codes >> 4) & 0x07
    mantissa = (codes & 0x0F).astype(np.int32)
    magnitude = (((mantissa << 3) + _MULAW_BIAS) << exponent) - _MULAW_BIAS
    to_linear = np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16)

    # The law is of 14 bits: its bias and clip are a quarter of the 16-bit ones.
    samples = _all_samples() >> 2
    biased = np.minimum(np.abs(samples), _MULAW_CLIP_14) + (_MULAW_BIAS >> 2)
    segment = _segment(biased, 6)
    code = (segment << 4) | ((biased >> (segment + 1)) & 0x0F)
    code = np.where(samples < 0, code | 0x80, code)
    return Codec("PCMU", 0, to_linear, (~code & 0xFF).astype(np.uint8))


def _alaw() -> Codec:
    codes = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((codes >> 4) & 0x07).astype(np.int32)
    mantissa = ((codes & 0x0F).astype(np.int32) << 4) + 8
    magnitude = np.where(exponent > 0, (mantissa + 0x100) << np.maximum(exponent - 1, 0), mantissa)
    to_linear = np.where(codes & 0x80, magnitude, -magnitude).astype(np.int16)

    # G.711 codes 13 bits; a negative sample's magnitude is its one's complement.
    samples = _all_samples() >> 3
    magnitude13 = np.where(samples >= 0, samples, ~samples)
    segment = _segment(magnitude13, 5)
    shift = np.where(segment < 2, 1, segment)
    code = (segment << 4) | ((magnitude13 >> shift) & 0x0F)
    code = code ^ np.where(samples >= 0, 0xD5, 0x55)
    return Codec("PCMA", 8, to_linear, code.astype(np.uint8))


PCMU = _mulaw()
PCMA = _alaw()
BY_PAYLOAD_TYPE = {codec.payload_type: codec for codec in (PCMU, PCMA)}
BY_NAME = {codec.name: codec for codec in (PCMU, PCMA)}
