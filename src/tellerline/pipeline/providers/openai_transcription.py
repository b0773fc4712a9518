"""OpenAI's transcription of a whole utterance: POST {base_url}/audio/transcriptions, multipart, JSON back.

https://platform.openai.com/docs/api-reference/audio/createTranscription. The recogniser's confidence is asked
for in both ways that are served: token log-probabilities (gpt-4o-transcribe), segments (Whisper, vLLM).
"""

from __future__ import annotations

import io
import json
import time
import wave
from typing import Any

import httpx

from tellerline.errors import RecognitionError
from tellerline.pipeline.providers.openai_server import why
from tellerline.pipeline.providers.ports import Hearing, Speaker
from tellerline.rpc import engine_pb2 as pb
from tellerline.settings import OpenAISettings

RATE_HZ = 8000
_ANSWER_BYTES_MAX = 256 * 1024
# A recogniser that tells nothing of how sure it is: heard, but no "yes" to money (flows/choosing.py), and no
# noise either (turns.py).
UNTOLD_LOGPROB = -0.9
# As the engine's own recogniser judges noise (RecognitionSettings.no_speech_threshold).
_NO_SPEECH = 0.6


class OpenAIRecogniser:
    """A recogniser behind `client`."""

    def __init__(self, settings: OpenAISettings, client: httpx.AsyncClient) -> None:
        self._model = settings.transcription_model or ""
        self._client = client

    def open(self, speaker: Speaker) -> Hearing:
        """As Recogniser.open. Nothing is sent before a text is asked for."""
        return _Utterance(self._model, self._client, speaker)


class _Utterance:
    def __init__(self, model: str, client: httpx.AsyncClient, speaker: Speaker) -> None:
        self._model = model
        self._client = client
        self._speaker = speaker
        self._pcm = bytearray()

    def audio(self, pcm: bytes) -> None:
        self._pcm += pcm

    async def text(self, sequence: int) -> pb.Transcript:
        asked = time.monotonic()
        audio_ms = len(self._pcm) // (2 * RATE_HZ // 1000)
        try:
            response = await self._client.post(
                "/audio/transcriptions", data=self._form(), files={"file": _file(bytes(self._pcm))}
            )
        except httpx.HTTPError as error:
            raise RecognitionError(f"openai: transcription broke off ({why(error)})") from error
        if response.status_code != 200:
            raise RecognitionError(f"openai: transcription refused with status {response.status_code}")
        transcript = _read(response.content)
        transcript.sequence = sequence
        transcript.audio_ms = audio_ms
        transcript.decode_ms = round((time.monotonic() - asked) * 1000)
        return transcript

    def close(self) -> None:
        self._pcm.clear()

    def _form(self) -> dict[str, Any]:
        form: dict[str, Any] = {
            "model": self._model,
            "language": self._speaker.words.code,
            "temperature": "0",
        }
        if self._model.startswith("gpt-"):
            return form | {"response_format": "json", "include[]": "logprobs"}
        return form | {"response_format": "verbose_json"}


def _file(pcm: bytes) -> tuple[str, bytes, str]:
    wav = io.BytesIO()
    with wave.open(wav, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)
    return "utterance.wav", wav.getvalue(), "audio/wav"


def _read(content: bytes) -> pb.Transcript:
    """A transcript of the answer. Raises RecognitionError for one that is none."""
    try:
        if len(content) > _ANSWER_BYTES_MAX:
            raise ValueError
        answer = json.loads(content)
        text = answer["text"]
        if not isinstance(text, str):
            raise TypeError
        logprob, no_speech = _confidence(answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecognitionError("openai: an answer that is no transcription") from error
    heard = no_speech < _NO_SPEECH and any(map(str.isalnum, text))
    return pb.Transcript(
        final=True,
        text=" ".join(text.split()) if heard else "",
        avg_logprob=logprob,
        no_speech_prob=no_speech,
    )


def _confidence(answer: dict[str, Any]) -> tuple[float, float]:
    """Mean log-probability (of the least sure segment), and the probability that nobody spoke."""
    if segments := answer.get("segments"):
        logprob = min(float(segment["avg_logprob"]) for segment in segments)
        return logprob, min(float(segment["no_speech_prob"]) for segment in segments)
    if tokens := answer.get("logprobs"):
        return sum(float(token["logprob"]) for token in tokens) / len(tokens), 0.0
    return UNTOLD_LOGPROB, 0.0
