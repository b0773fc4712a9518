"""A connector for tests: attaches a call to a pipeline and plays a caller's audio in real time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np

from tellerline import bootstrap
from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc as rpc

TICK_BYTES = 320
# -45 dBFS: what the robot counts as audible.
AUDIBLE = 184


class Line:
    """One call: what the caller says goes up in 20 ms ticks, what the bot says is played as it comes."""

    def __init__(
        self, socket: Path, call_id: str, resume: bool = False, echo_db: float | None = None
    ) -> None:
        self._socket = socket
        self._call_id = call_id
        self._resume = resume
        self._up: asyncio.Queue[pb.FromConnector | None] = asyncio.Queue()
        self._caller = bytearray()
        self._queue = bytearray()
        # The line returns the bot this much quieter, after 150 ms and its own 20.
        self._echo_gain = 0.0 if echo_db is None else 10 ** (echo_db / 20)
        self._returning: deque[bytes] = deque([bytes(TICK_BYTES)] * 8)
        self._noise = np.random.default_rng(1)
        self._changed = asyncio.Condition()
        self.played = bytearray()
        self.commands: list[pb.ToConnector] = []
        self.events: list[pb.ConversationEvent] = []
        self.paused = False
        self.held = False
        self.ended = False
        self.ticks = 0
        # time.monotonic() of the last caller sound sent, and of each tick the bot was audible.
        self.caller_sound = 0.0
        self.bot_sound = 0.0

    async def __aenter__(self) -> Line:
        self._channel = bootstrap.channel(self._socket)
        self._stub = rpc.ConversationStub(self._channel)
        admitted = await self._stub.Admit(pb.AdmitRequest(call_id=self._call_id), timeout=5)
        assert admitted.admitted, admitted.reason
        self._watch = self._stub.Watch(pb.WatchRequest(sip_call_id=self._call_id))
        await self._watch.initial_metadata()
        self._stream = self._stub.Converse(self._outgoing())
        self._tasks = [
            asyncio.create_task(work) for work in (self._read(), self._tick(), self._read_events())
        ]
        await self.until(lambda: bool(self.events and self.commands))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._send(caller_hung_up=pb.CallerHungUp())
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: self.ended, 5)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._watch.cancel()
        await self._channel.close()

    # ---- the caller's side

    def say(self, pcm: bytes) -> None:
        """Queues caller audio."""
        self._caller += pcm

    def press(self, digit: str) -> None:
        """Presses a key."""
        self._send(digit=pb.Digit(digit=digit, duration_ms=100))

    def dark_input_ends(self, outcome: pb.DarkInputResult.Outcome) -> None:
        """What became of the digits that were asked for last."""
        request_id = self.sent("dark_input")[-1].dark_input.request_id
        self._send(dark_input_result=pb.DarkInputResult(request_id=request_id, outcome=outcome))

    def hold(self, held: bool) -> None:
        """Puts the bot on hold, or takes it off."""
        self.held = held
        self._send(hold=pb.Hold(held=held))

    def transfer_progresses(self, sip_status: int, final: bool) -> None:
        """News of the transfer that was asked for."""
        request_id = self.sent("transfer")[-1].transfer.request_id
        progress = pb.TransferProgress(request_id=request_id, sip_status=sip_status, final=final)
        self._send(transfer_progress=progress)

    async def passes(self, seconds: float) -> None:
        """Waits until the line has carried `seconds` more of the caller's audio."""
        ticks = self.ticks + round(seconds * 50)
        await self.until(lambda: self.ticks >= ticks, 3 * seconds + 10)

    async def until(self, happened: object, seconds: float = 20) -> None:
        """Waits until `happened()` is true; raises TimeoutError, with what was said, after `seconds`."""
        assert callable(happened)
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(happened)
        except TimeoutError:
            spoken = [spoke.played for spoke in self.spoken()]
            raise TimeoutError(
                f"not within {seconds} s; caller: {self.heard()}, bot: {spoken}, "
                f"unplayed {len(self._queue)} and unsaid {len(self._caller)} bytes"
            ) from None

    async def said(self) -> float:
        """Waits until the caller's audio was sent; returns when its last sound was."""
        await self.until(lambda: not self._caller)
        return self.caller_sound

    async def bot_starts(self, after: float, seconds: float = 10) -> float:
        """Waits for bot sound later than `after`; returns the time of it."""
        await self.until(lambda: self.bot_sound > after, seconds)
        return self.bot_sound

    async def bot_finishes(self, seconds: float = 30) -> str:
        """Waits for the end of the bot's answer; returns what of it was heard."""
        count = len(self.spoken())
        await self.until(lambda: len(self.spoken()) > count, seconds)
        return self.spoken()[-1].played

    # ---- what was seen

    @property
    def playing(self) -> bool:
        """Whether bot audio is waiting to be played."""
        return bool(self._queue)

    def spoken(self) -> list[pb.BotSpoke]:
        """The bot's answers that ended."""
        return [event.bot_spoke for event in self.events if event.WhichOneof("event") == "bot_spoke"]

    def heard(self) -> list[str]:
        """The caller's turns that were confirmed."""
        heard = [event.caller_heard for event in self.events if event.WhichOneof("event") == "caller_heard"]
        return [event.text for event in heard if event.final]

    def barge_ins(self) -> list[int]:
        """Outcomes of caller sound over the bot."""
        return [event.barge_in.outcome for event in self.events if event.WhichOneof("event") == "barge_in"]

    def sent(self, command: str) -> list[pb.ToConnector]:
        """Commands of one kind that came down."""
        return [message for message in self.commands if message.WhichOneof("command") == command]

    # ---- tasks

    def _send(self, **event: object) -> None:
        self._up.put_nowait(pb.FromConnector(call_id=self._call_id, **event))

    async def _outgoing(self) -> AsyncIterator[pb.FromConnector]:
        attach = pb.Attach(
            resume=self._resume,
            attempt=2 if self._resume else 1,
            sip_call_id=self._call_id,
            telephone_event=True,
        )
        yield pb.FromConnector(call_id=self._call_id, attach=attach)
        while (message := await self._up.get()) is not None:
            yield message

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _read_events(self) -> None:
        async for event in self._watch:
            self.events.append(event)
            await self._notify()

    async def _read(self) -> None:
        # A pipeline that dies ends the stream as well.
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for message in self._stream:
                self._take(message)
                await self._notify()
        self.ended = True
        await self._notify()

    def _take(self, message: pb.ToConnector) -> None:
        self.commands.append(message)
        match message.WhichOneof("command"):
            case "audio":
                self._queue += message.audio.pcm
            case "pause":
                self.paused = True
            case "resume":
                self.paused = False
            case "flush":
                self.paused = False
                self._queue.clear()

    async def _tick(self) -> None:
        next_tick = time.monotonic()
        while True:
            self._play()
            self._speak(self.ticks)
            await self._notify()
            self.ticks += 1
            next_tick += 0.02
            await asyncio.sleep(next_tick - time.monotonic())

    def _play(self) -> None:
        self._returning.append(bytes(TICK_BYTES))
        if self.paused or self.held or not self._queue:
            return
        pcm = bytes(self._queue[:TICK_BYTES])
        del self._queue[:TICK_BYTES]
        self.played += pcm
        self._returning[-1] = pcm.ljust(TICK_BYTES, b"\0")
        if np.abs(np.frombuffer(pcm, "<i2").astype(int)).max() > AUDIBLE:
            self.bot_sound = time.monotonic()

    def _speak(self, ticks: int) -> None:
        line = (self._noise.standard_normal(160) * 8).astype("<i2")
        speech = np.frombuffer(bytes(self._caller[:TICK_BYTES]).ljust(TICK_BYTES, b"\0"), "<i2")
        if self._caller:
            self.caller_sound = time.monotonic()
            del self._caller[:TICK_BYTES]
        echo = np.frombuffer(self._returning.popleft(), "<i2") * self._echo_gain
        pcm = np.clip(line.astype(int) + speech + echo, -32768, 32767).astype("<i2").tobytes()
        self._send(
            audio=pb.CallerAudio(
                pcm=pcm,
                first_sample=ticks * 160,
                played_samples=len(self.played) // 2,
                captured_ns=time.monotonic_ns(),
            )
        )
        if ticks % 25 == 0:
            self._send(heartbeat=pb.Heartbeat(sent_ns=time.monotonic_ns()))
