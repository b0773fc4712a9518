"""ElevenLabs' streaming synthesis: a websocket a clause, text in, audio with character times out.

wss://…/v1/text-to-speech/{voice_id}/stream-input, as
https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input describes it.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlencode

import websockets
from websockets.asyncio.client import ClientConnection, connect

from tellerline.errors import SynthesisError
from tellerline.pipeline.providers.openai_server import read_key, trust, why
from tellerline.pipeline.providers.ports import Clause
from tellerline.rpc import engine_pb2 as pb
from tellerline.settings import ElevenLabsSettings

# What the service takes for voice_settings.speed.
_SLOWEST, _FASTEST = 0.7, 1.2
_MESSAGE_BYTES_MAX = 4 * 1024 * 1024
_SAMPLES_A_MS = 8
# A close handshake is courtesy: a server that does not answer it holds nothing up.
_CLOSE_SECONDS = 0.2


class ElevenLabsVoice:
    """One voice of the service. Raises SettingsError for a key that cannot be read."""

    def __init__(self, settings: ElevenLabsSettings, patience_seconds: float) -> None:
        # It logs each header at DEBUG: the key.
        logging.getLogger("websockets").setLevel(logging.WARNING)
        self._settings = settings
        self._patience_seconds = patience_seconds
        self._key = read_key(settings.key, "providers.elevenlabs.key")
        self._trust = trust(settings.authority, "providers.elevenlabs.authority")

    async def speak(self, clause: Clause) -> AsyncGenerator[pb.SynthesizeReply, None]:
        """As Voice.speak."""
        chunks = _Chunks(clause)
        try:
            async with self._connect(clause) as socket:
                await _say(socket, clause)
                while not chunks.complete:
                    reply = chunks.take(await socket.recv())
                    if reply is not None:
                        yield reply
        except websockets.InvalidStatus as error:
            status = error.response.status_code
            raise SynthesisError(f"elevenlabs: refused with status {status}") from error
        except (OSError, websockets.WebSocketException) as error:
            raise SynthesisError(f"elevenlabs: the connection broke off ({why(error)})") from error
        if not chunks.sent_samples:
            raise SynthesisError("elevenlabs: an answer without a sound")

    def _connect(self, clause: Clause) -> connect:
        query = {
            "model_id": self._settings.model,
            "output_format": "pcm_8000",
            "language_code": clause.speaker.words.code,
            # Spoken at once, without waiting for more text.
            "auto_mode": "true",
        }
        path = f"/v1/text-to-speech/{self._settings.voice_id}/stream-input"
        uri = f"{self._settings.base_url}{path}?{urlencode(query)}"
        return connect(
            uri,
            additional_headers={"xi-api-key": self._key},
            ssl=self._trust if uri.startswith("wss:") else None,
            # Neither proxies from the environment nor compression of what is noise already.
            proxy=None,
            compression=None,
            open_timeout=self._patience_seconds,
            close_timeout=_CLOSE_SECONDS,
            ping_interval=None,
            max_size=_MESSAGE_BYTES_MAX,
        )


async def _say(socket: ClientConnection, clause: Clause) -> None:
    speed = min(_FASTEST, max(_SLOWEST, clause.speed))
    # A first message of one space, settings with it; text ends with a space; an empty text is the end.
    for message in (
        {"text": " ", "voice_settings": {"speed": speed}},
        {"text": f"{clause.text} "},
        {"text": ""},
    ):
        await socket.send(json.dumps(message))


class _Chunks:
    """Puts the service's messages together: whole samples, and words where their characters are."""

    def __init__(self, clause: Clause) -> None:
        self.complete = False
        self.sent_samples = 0
        self._clause = clause
        self._words = clause.text.split()
        self._placed = 0
        # Of the word whose characters are still coming: where it begins; its characters so far.
        self._since_ms: int | None = None
        self._until_ms = 0
        self._half_sample = b""

    def take(self, message: str | bytes) -> pb.SynthesizeReply | None:
        """What one message brings. Raises SynthesisError for an error, or for what is no message."""
        try:
            content = json.loads(message)
            if "error" in content or content.get("code"):
                raise SynthesisError("elevenlabs: refused while speaking")
            pcm = base64.b64decode(content.get("audio") or "", validate=True)
            self.complete = bool(content.get("isFinal"))
            words = self._heed(content.get("alignment"))
        except (ValueError, TypeError, AttributeError, KeyError, binascii.Error) as error:
            raise SynthesisError("elevenlabs: an answer that is no audio") from error
        pcm = self._half_sample + pcm
        whole = len(pcm) & ~1
        pcm, self._half_sample = pcm[:whole], pcm[whole:]
        self.sent_samples += whole // 2
        if self.complete:
            words += self._rest()
        if not pcm and not words:
            return None
        speaker = self._clause.speaker
        return pb.SynthesizeReply(call_id=speaker.call_id, turn_id=speaker.turn_id, pcm=pcm, words=words)

    def _heed(self, alignment: Any) -> list[pb.SpokenWord]:
        """The words that `alignment` ends; its times count from the start of its own chunk."""
        if not alignment:
            return []
        base_ms = self.sent_samples // _SAMPLES_A_MS
        words = []
        times = zip(
            alignment["chars"], alignment["charStartTimesMs"], alignment["charDurationsMs"], strict=True
        )
        for char, start, duration in times:
            if not char.isspace():
                if self._since_ms is None:
                    self._since_ms = base_ms + int(start)
                self._until_ms = base_ms + int(start) + int(duration)
            elif self._since_ms is not None:
                words += self._word()
        return words

    def _word(self) -> list[pb.SpokenWord]:
        since_ms, self._since_ms = self._since_ms or 0, None
        if self._placed >= len(self._words):
            return []
        self._placed += 1
        text = self._words[self._placed - 1]
        return [pb.SpokenWord(text=text, start_ms=since_ms, end_ms=self._until_ms)]

    def _rest(self) -> list[pb.SpokenWord]:
        """Words whose characters came without a space behind them, or not at all: they end with the audio."""
        words = self._word() if self._since_ms is not None else []
        end_ms = self.sent_samples // _SAMPLES_A_MS
        rest = [
            pb.SpokenWord(text=text, start_ms=end_ms, end_ms=end_ms) for text in self._words[self._placed :]
        ]
        self._placed = len(self._words)
        return words + rest
