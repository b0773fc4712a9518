"""OpenAI's chat completions, streamed: POST {base_url}/chat/completions, server-sent events back.

https://platform.openai.com/docs/api-reference/chat-streaming; events as the WHATWG's HTML standard, 9.2.
Nothing but text is taken from an answer: a tool call in it is no call of anybody's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx

from tellerline.errors import LanguageModelError
from tellerline.pipeline import choice
from tellerline.pipeline.providers.openai_server import why
from tellerline.pipeline.providers.ports import Doubt, Question
from tellerline.session.redaction import redact
from tellerline.settings import OpenAISettings

# An event of a real server has some hundred bytes.
_LINE_BYTES_MAX = 64 * 1024
_PICK_CHARS_MAX = 1024


class OpenAIChat:
    """A language model behind `client`."""

    def __init__(self, settings: OpenAISettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._client = client

    async def answer(self, question: Question, seconds: float) -> AsyncGenerator[str, None]:
        """As Chat.answer. What names cards, accounts and people does not leave the site."""
        async with contextlib.aclosing(self._answer(self._body(question), seconds)) as pieces:
            async for piece in pieces:
                yield piece

    async def choose(self, doubt: Doubt, seconds: float) -> str:
        """As Chat.choose, under a schema the server may or may not hold to. Words leave as in `answer`."""
        text = redact(doubt.text, doubt.asker.words.code)
        schema = {"name": "intent", "strict": True, "schema": choice.schema(doubt.among)}
        body = {
            **self._asking(choice.TOKENS),
            "messages": [{"role": "user", "content": choice.question(text, doubt.among)}],
            "response_format": {"type": "json_schema", "json_schema": schema},
        }
        said = ""
        async with contextlib.aclosing(self._answer(body, seconds)) as pieces:
            async for piece in pieces:
                said += piece
                if len(said) > _PICK_CHARS_MAX:
                    break
        return choice.picked(said, doubt.among)

    async def _answer(self, body: dict[str, Any], seconds: float) -> AsyncGenerator[str, None]:
        until = time.monotonic() + seconds
        pieces = self._pieces(body)
        said = False
        try:
            while True:
                async with asyncio.timeout(until - time.monotonic()):
                    piece = await anext(pieces, None)
                if piece is None:
                    break
                said = said or bool(piece.strip())
                yield piece
        except TimeoutError as error:
            raise LanguageModelError("openai: no answer in time") from error
        except httpx.HTTPError as error:
            raise LanguageModelError(f"openai: the answer broke off ({why(error)})") from error
        finally:
            await pieces.aclose()
        if not said:
            raise LanguageModelError("openai: an answer without a word")

    async def _pieces(self, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        request = self._client.build_request("POST", "/chat/completions", json=body)
        response = await self._client.send(request, stream=True)
        try:
            if response.status_code != 200:
                raise LanguageModelError(f"openai: refused with status {response.status_code}")
            finished = False
            async with contextlib.aclosing(_events(response)) as events:
                async for event in events:
                    if event == "[DONE]":
                        return
                    text, ended = _read(event)
                    finished = finished or ended
                    if text:
                        yield text
            if not finished:
                raise LanguageModelError("openai: the answer broke off")
        finally:
            await response.aclose()

    def _body(self, question: Question) -> dict[str, Any]:
        words = question.asker.words
        messages = [{"role": "system", "content": words.prompt}]
        for caller, bot in words.examples:
            messages.append({"role": "user", "content": caller})
            messages.append({"role": "assistant", "content": bot})
        for message in question.messages:
            messages.append({"role": message.role, "content": redact(message.content, words.code)})
        return {**self._asking(question.max_tokens), "messages": messages}

    def _asking(self, max_tokens: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._settings.chat_model,
            "stream": True,
            "max_completion_tokens": max_tokens,
        }
        if self._settings.temperature is not None:
            body["temperature"] = self._settings.temperature
        return body


async def _events(response: httpx.Response) -> AsyncGenerator[str, None]:
    """The data of each event. Lines beginning otherwise (comments keep connections alive) are passed over."""
    async for line in _lines(response.aiter_bytes()):
        if line.startswith(b"data:"):
            try:
                yield line.removeprefix(b"data:").strip().decode()
            except UnicodeDecodeError as error:
                raise LanguageModelError("openai: an answer that is no UTF-8") from error


async def _lines(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in content:
        *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            yield line
        if len(rest) > _LINE_BYTES_MAX:
            raise LanguageModelError("openai: an event without an end")
    if rest:
        yield rest


def _read(event: str) -> tuple[str, bool]:
    """The text of a chunk, and whether the model has ended. Raises LanguageModelError for anything else."""
    try:
        chunk = json.loads(event)
        # Token counts and Azure's filter results come in chunks without a choice.
        choices = chunk["choices"]
        if not choices:
            return "", False
        text = choices[0].get("delta", {}).get("content") or ""
        ended = choices[0].get("finish_reason") is not None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise LanguageModelError("openai: an answer that is no chunk of a completion") from error
    if not isinstance(text, str):
        raise LanguageModelError("openai: an answer that is no chunk of a completion")
    return text, ended
