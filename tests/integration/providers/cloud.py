"""Providers elsewhere, on ports of this machine: HTTP with server-sent events, and ElevenLabs' websocket.

They speak the protocols over real sockets, with replies of the shapes the vendors document (replies/), and
fail in every way a test asks for.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import websockets
from websockets.asyncio.server import ServerConnection, serve

REPLIES = Path(__file__).parent / "replies"
KEY = "sk-test-0123456789"
ANSWER = "Please visit any branch with your passport."
HEARD = "What is the balance of my account?"

Fault = Literal["", "hang", "slow", "429", "500", "302", "garbled", "dropped", "half", "empty", "error"]


@dataclass
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, bytes]:
        """The parts of a multipart body, by name."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.body)
        parts = {}
        for part in message.get_payload():
            name = part.get_param("name", header="content-disposition")
            parts[str(name)] = part.get_payload(decode=True)
        return parts


@dataclass
class OpenAI:
    """A server of OpenAI's protocol."""

    base_url: str = ""
    fault: Fault = ""
    chat: str = "openai.sse"
    transcription: str = "whisper_verbose.json"
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    # Set when a client has gone away before the end of its answer.
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while (request := await _request(reader)) is not None:
                self.requests.append(request)
                self.asked.set()
                await self._answer(request, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match self.fault:
            case "hang":
                await self._until_left(reader)
            case "429" | "500" | "302":
                elsewhere = {"location": f"{self.base_url}/elsewhere"} if self.fault == "302" else {}
                reason = b'{"error":{"message":"Rate limit reached","type":"requests","code":null}}'
                _send(writer, int(self.fault), reason, **elsewhere)
            case "garbled":
                _send(writer, 200, b"data: <html>Bad gateway</html>\n\n")
            case "dropped":
                writer.transport.abort()
                raise ConnectionError
            case "empty":
                _send(writer, 200, b'data: {"choices":[]}\n\ndata: [DONE]\n\n')
            case "error":
                _send(writer, 200, (REPLIES / "mid_stream_error.sse").read_bytes())
            case _ if request.path.endswith("/audio/transcriptions"):
                _send(writer, 200, (REPLIES / self.transcription).read_bytes())
            case _:
                await self._stream(reader, writer)
        await writer.drain()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        events = (REPLIES / self.chat).read_bytes().split(b"\n\n")
        for number, event in enumerate(events):
            if not event.strip():
                continue
            if self.fault == "half" and number == 3:
                writer.transport.abort()
                raise ConnectionError
            if self.fault == "slow" and number == 3:
                await self._until_left(reader)
            # Cut where no event ends, as networks do.
            for part in (event[:40], event[40:] + b"\n\n"):
                writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def _until_left(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(1024):
            pass
        raise ConnectionError


async def _request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


def _send(writer: asyncio.StreamWriter, status: int, body: bytes, **headers: str) -> None:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


@contextlib.asynccontextmanager
async def openai() -> AsyncIterator[OpenAI]:
    """A served OpenAI."""
    cloud = OpenAI()
    async with await asyncio.start_server(cloud.handle, "127.0.0.1", 0) as server:
        cloud.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield cloud
        server.close()


@dataclass
class ElevenLabs:
    """ElevenLabs' stream-input: a chunk of audio for each two words, with the times of their characters."""

    base_url: str = ""
    fault: Fault = ""
    connections: int = 0
    requests: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def handle(self, socket: ServerConnection) -> None:
        """One clause."""
        assert socket.request is not None
        url = urlsplit(socket.request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.requests.append({"path": url.path, "key": socket.request.headers.get("xi-api-key"), **query})
        first = json.loads(await socket.recv())
        assert first["text"] == " "
        text = ""
        while part := json.loads(await socket.recv())["text"]:
            text += part
        self.said.append(text)
        await self._speak(socket, text)

    async def _speak(self, socket: ServerConnection, text: str) -> None:
        words = text.split()
        match self.fault:
            case "hang":
                await socket.wait_closed()
            case "garbled":
                await socket.send("<html>")
            case "dropped":
                socket.transport.abort()
            case "error":
                message = {"message": "Quota exceeded", "error": "quota_exceeded", "code": 1008}
                await socket.send(json.dumps(message))
            case "empty":
                await socket.send(json.dumps({"audio": None, "isFinal": True}))
            case _:
                for at in range(0, len(words), 2):
                    if self.fault == "half" and at == 2:
                        socket.transport.abort()
                        return
                    await socket.send(json.dumps(_chunk(" ".join(words[at : at + 2]) + " ")))
                await socket.send(json.dumps({"audio": "", "isFinal": True, "alignment": None}))

    def refuse(self, connection: ServerConnection, request: Any) -> Any:
        """Answers the handshake itself where it is to be refused."""
        self.connections += 1
        if self.fault in ("429", "500"):
            return connection.respond(int(self.fault), "no\n")
        return None


def _chunk(text: str) -> dict[str, Any]:
    """50 ms of sound a character."""
    alignment = {
        "chars": list(text),
        "charStartTimesMs": [50 * number for number in range(len(text))],
        "charDurationsMs": [50] * len(text),
    }
    pcm = b"\x00\x10" * (400 * len(text))
    audio = base64.b64encode(pcm).decode()
    return {"audio": audio, "isFinal": None, "alignment": alignment, "normalizedAlignment": alignment}


@contextlib.asynccontextmanager
async def elevenlabs() -> AsyncIterator[ElevenLabs]:
    """A served ElevenLabs."""
    cloud = ElevenLabs()

    async def handle(socket: ServerConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            await cloud.handle(socket)

    async with serve(handle, "127.0.0.1", 0, process_request=cloud.refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        cloud.base_url = f"ws://127.0.0.1:{port}"
        yield cloud
