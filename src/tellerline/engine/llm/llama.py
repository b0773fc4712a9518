"""llama.cpp: many calls over one context, one decode thread, a step at a time.

Every step is one batch: the next token of each call that is speaking, then as much of the waiting prompts
as the step allows. A call that stops listening is dropped between two steps.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tellerline.engine.llm.context import BATCH_TOKENS, ContextFull, Entry, LlamaContext
from tellerline.engine.llm.pieces import Pieces
from tellerline.engine.llm.port import Ending, LanguageModel, Message, Prefix, Prompt, PromptError, Sampling
from tellerline.engine.llm.sampler import Sampler, grammar_of
from tellerline.engine.llm.sequences import Plan, Sequences, Slot, clear, common_prefix
from tellerline.engine.precedence import CPU
from tellerline.errors import LanguageModelError
from tellerline.monitoring import metrics
from tellerline.settings import LanguageModelSettings

log = logging.getLogger(__name__)

# Of a waiting prompt, between two steps of those who are speaking: 64 tokens cost about one spoken word.
_PREFILL_BESIDE_SPEECH = 64
# Evaluated at a time while nobody waits, so that somebody who comes waits little.
_WARM_TOKENS = 8
_PREFIXES = 64
# Until here an answer is waited for; beyond, it runs ahead of the voice and lets clauses be made first.
_FIRST_CLAUSE_TOKENS = 8
_PATIENCE_SECONDS = 0.25

_Event = str | Ending | LanguageModelError


@dataclass
class _Job:
    """One generation (or, with max_tokens 0, one prefix)."""

    prompt: Prompt
    owner: str
    tokens: list[int]
    tell: Callable[[_Event], None]
    asked: float = field(default_factory=time.perf_counter)
    started: float = 0.0
    spoke: float = 0.0
    cancelled: bool = False
    slot: Slot | None = None
    cached: int = 0
    # Tokens not evaluated yet: the rest of the prompt, later the one just chosen.
    pending: list[int] = field(default_factory=list)
    generated: int = 0
    text: str = ""
    sampler: Sampler | None = None
    pieces: Pieces = field(default_factory=Pieces)

    @property
    def speaking(self) -> bool:
        return self.generated > 0


class LlamaModel(LanguageModel):
    """A GGUF model. Greedy answers do not depend on who else is being answered, up to ties in rounding."""

    def __init__(self, gguf: Path, settings: LanguageModelSettings) -> None:
        self._context = LlamaContext(gguf, settings)
        self._sequences = Sequences(settings.sequences)
        self._prefixes: OrderedDict[str, tuple[Message, ...]] = OrderedDict()
        self._condition = threading.Condition()
        self._arrived: deque[_Job] = deque()
        self._forgotten: deque[str] = deque()
        self._pulses: deque[Callable[[], object]] = deque()
        self._stopping = False
        self._failure: LanguageModelError | None = None
        # The decode thread's own.
        self._waiting: list[_Job] = []
        self._running: list[_Job] = []
        self._warm: dict[int, list[int]] = {}
        self._thread = threading.Thread(target=self._run, name="llama", daemon=True)
        self._thread.start()

    # ---- the event loop's side

    async def open_prefix(self, messages: tuple[Message, ...]) -> Prefix:
        tokens = self._context.opening_tokens(messages)
        self._check_length(len(tokens), 0)
        digest = hashlib.sha256()
        for message in messages:
            digest.update(f"{message.role}\0{message.content}\0".encode())
        handle = digest.hexdigest()[:24]
        prompt = Prompt("", messages, sampling=Sampling(max_tokens=0))
        # The job's last token is sampled from in a generation; here there is none to sample.
        async for _ in self._serve(prompt, f"prefix:{handle}", tokens):
            pass
        self._prefixes[handle] = messages
        self._prefixes.move_to_end(handle)
        if len(self._prefixes) > _PREFIXES:
            self._prefixes.popitem(last=False)
        return Prefix(handle, len(tokens))

    async def generate(self, prompt: Prompt) -> AsyncGenerator[str | Ending, None]:
        messages = prompt.messages
        if prompt.prefix:
            if prompt.prefix not in self._prefixes:
                raise PromptError("language model: no such prefix here; open it again with OpenPrefix")
            self._prefixes.move_to_end(prompt.prefix)
            messages = (*self._prefixes[prompt.prefix], *messages)
        if not messages:
            raise PromptError("language model: a prompt needs at least one message")
        full = Prompt(prompt.call_id, messages, sampling=prompt.sampling, grammar=grammar_of(prompt))
        tokens = self._context.prompt_tokens(messages)
        self._check_length(len(tokens), prompt.sampling.max_tokens)
        async for event in self._serve(full, prompt.call_id, tokens):
            yield event

    @property
    def failure(self) -> LanguageModelError | None:
        return self._failure

    async def pulse(self) -> None:
        loop = asyncio.get_running_loop()
        beaten = asyncio.Event()
        with self._condition:
            if self._failure is not None:
                raise self._failure
            self._pulses.append(lambda: loop.call_soon_threadsafe(beaten.set))
            self._condition.notify()
        await beaten.wait()

    def forget(self, call_id: str) -> None:
        with self._condition:
            self._forgotten.append(call_id)
            self._condition.notify()

    def close(self) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join()
        self._context.close()

    def _check_length(self, prompt_tokens: int, max_tokens: int) -> None:
        limit = self._context.tokens_max
        if prompt_tokens + max_tokens > limit:
            raise PromptError(
                f"language model: {prompt_tokens} prompt tokens and {max_tokens} to generate do not fit the "
                f"context of {limit}; shorten the conversation or raise language_model.context_tokens"
            )

    async def _serve(
        self, prompt: Prompt, owner: str, tokens: list[int]
    ) -> AsyncGenerator[str | Ending, None]:
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[_Event] = asyncio.Queue()

        def tell(event: _Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        job = _Job(prompt, owner, tokens, tell, pieces=Pieces(prompt.sampling.stop))
        with self._condition:
            if self._failure is not None:
                raise self._failure
            if self._stopping:
                raise LanguageModelError("language model: the engine is stopping")
            self._arrived.append(job)
            self._condition.notify()
        try:
            while True:
                event = await events.get()
                if isinstance(event, LanguageModelError):
                    raise event
                yield event
                if isinstance(event, Ending):
                    return
        finally:
            job.cancelled = True

    # ---- the decode thread's side

    def _run(self) -> None:
        error = LanguageModelError("language model: the engine is stopping")
        try:
            self._decode()
        except BaseException as unexpected:
            # The traceback without the exception's text, which may quote a caller.
            where = "".join(traceback.format_tb(unexpected.__traceback__))
            log.critical("the decode thread died of %s:\n%s", type(unexpected).__name__, where)
            error = LanguageModelError(
                f"language model: the decode thread died of {type(unexpected).__name__}; the engine ends"
            )
            self._failure = error
        with self._condition:
            self._stopping = True
            left = (*self._running, *self._waiting, *self._arrived)
        for job in left:
            job.tell(error)

    def _decode(self) -> None:
        while self._collect():
            for job in [job for job in self._running if job.cancelled]:
                self._leave(job)
            self._waiting = [job for job in self._waiting if not job.cancelled and not self._start(job)]
            if self._running:
                if all(job.generated > _FIRST_CLAUSE_TOKENS for job in self._running):
                    CPU.give_way(_PATIENCE_SECONDS)
                self._step()
            else:
                self._warm_up()
            # After the step: one that never comes back is what they are to find out.
            while self._pulses:
                self._pulses.popleft()()

    def _collect(self) -> bool:
        """Takes what arrived; sleeps when there is nothing to do. False when stopping."""
        with self._condition:
            while not (self._arrived or self._forgotten or self._pulses or self._running or self._warm):
                if self._stopping:
                    break
                self._condition.wait()
            self._waiting += self._arrived
            self._arrived.clear()
            forgotten, self._forgotten = self._forgotten, deque()
        for owner in forgotten:
            for slot in self._sequences.owned_by(owner):
                if not slot.busy:
                    self._evict(slot)
        return not self._stopping

    def _start(self, job: _Job) -> bool:
        """Gives a job its sequence; False when all are busy."""
        plan = self._sequences.plan(job.owner, job.tokens)
        if plan is None:
            return False
        try:
            job.sampler = Sampler(self._context, job.prompt.sampling, job.prompt.grammar)
        except PromptError as error:
            job.tell(error)
            return True
        self._place(plan)
        self._sequences.take(plan, job.owner, job.tokens)
        self._warm.pop(plan.slot.seq_id, None)
        job.slot, job.cached = plan.slot, plan.keep
        job.pending = job.tokens[plan.keep :]
        job.started = time.perf_counter()
        metrics.ENGINE_QUEUE_SECONDS.labels("first_token").observe(job.started - job.asked)
        self._running.append(job)
        return True

    def _place(self, plan: Plan) -> None:
        if plan.source is None:
            self._context.keep(plan.slot.seq_id, plan.keep)
        else:
            self._context.share(plan.source.seq_id, plan.slot.seq_id, plan.keep)

    def _step(self) -> None:
        entries: list[Entry] = []
        sampled: list[tuple[_Job, int]] = []
        taken: list[tuple[_Job, int]] = []
        speaking = [job for job in self._running if job.speaking]
        room = min(BATCH_TOKENS, len(speaking) + _PREFILL_BESIDE_SPEECH) if speaking else BATCH_TOKENS
        for job in (*speaking, *(job for job in self._running if not job.speaking)):
            assert job.slot is not None
            count = min(len(job.pending), room - len(entries))
            for i, token in enumerate(job.pending[:count]):
                last = i == len(job.pending) - 1
                entries.append(Entry(token, len(job.slot.tokens) + i, job.slot.seq_id, last))
                if last:
                    sampled.append((job, len(entries) - 1))
            taken.append((job, count))
        if not self._evaluate(entries):
            return
        for job, count in taken:
            assert job.slot is not None
            job.slot.tokens += job.pending[:count]
            del job.pending[:count]
        for job, index in sampled:
            self._advance(job, index)

    def _evaluate(self, entries: list[Entry]) -> bool:
        """Evaluates a batch, evicting idle sequences while the cache is full; False when a job failed."""
        while True:
            try:
                self._context.evaluate(entries)
            except ContextFull:
                idle = self._sequences.oldest_idle()
                if idle is not None:
                    self._evict(idle)
                    continue
                # Everyone left is being served; the newest gives way.
                self._fail(self._running[-1], LanguageModelError("language model: the context is full"))
                return False
            except LanguageModelError as error:
                for job in list(self._running):
                    self._fail(job, error)
                return False
            return True

    def _advance(self, job: _Job, index: int) -> None:
        assert job.sampler is not None
        if job.prompt.sampling.max_tokens == 0:
            self._finish(job, "length")
            return
        token = job.sampler.sample(index)
        if not job.speaking:
            job.spoke = time.perf_counter()
            metrics.ENGINE_STAGE_SECONDS.labels("first_token").observe(job.spoke - job.started)
        job.generated += 1
        if self._context.is_end(token):
            self._finish(job, "stop")
            return
        self._say(job, job.pieces.add(self._context.piece(token)))
        if job.pieces.stopped:
            self._finish(job, "stop")
        elif job.generated >= job.prompt.sampling.max_tokens:
            self._finish(job, "length")
        else:
            job.pending = [token]

    def _say(self, job: _Job, text: str) -> None:
        if text:
            job.text += text
            job.tell(text)

    def _finish(self, job: _Job, reason: str) -> None:
        self._say(job, job.pieces.rest())
        now = time.perf_counter()
        metrics.ENGINE_STAGE_SECONDS.labels("generation").observe(now - job.started)
        spoke = job.spoke or now
        ending = Ending(
            finish_reason=reason,
            prompt_tokens=len(job.tokens),
            cached_tokens=job.cached,
            generated_tokens=job.generated,
            first_token_ms=round((spoke - job.started) * 1000),
            total_ms=round((now - job.started) * 1000),
            queued_ms=round((job.started - job.asked) * 1000),
        )
        slot = job.slot
        self._leave(job)
        job.tell(ending)
        if slot is not None and job.generated:
            # The caller listens now: evaluate up to where their next words will stand.
            spoken = (*job.prompt.messages, Message("assistant", job.text.strip()))
            self._warm[slot.seq_id] = self._context.opening_tokens(spoken)

    def _leave(self, job: _Job) -> None:
        self._running.remove(job)
        if job.sampler is not None:
            job.sampler.close()
        if job.slot is not None:
            self._sequences.give_back(job.slot)

    def _fail(self, job: _Job, error: LanguageModelError) -> None:
        slot = job.slot
        self._leave(job)
        if slot is not None:
            # What a failed batch left in the cache is unknown.
            self._evict(slot)
        job.tell(error)

    def _evict(self, slot: Slot) -> None:
        self._context.keep(slot.seq_id, 0)
        self._warm.pop(slot.seq_id, None)
        clear(slot)

    def _warm_up(self) -> None:
        """Evaluates a few tokens of what idle calls will surely say next."""
        if not self._warm:
            return
        seq_id, tokens = next(iter(self._warm.items()))
        slot = self._sequences.slots[seq_id]
        have = common_prefix(slot.tokens, tokens)
        if have == len(tokens):
            del self._warm[seq_id]
            return
        if have < len(slot.tokens):
            # The answer's text tokenises otherwise than it was generated, and its text is what comes back.
            self._context.keep(seq_id, have)
            del slot.tokens[have:]
        piece = tokens[have : have + _WARM_TOKENS]
        entries = [Entry(token, have + i, seq_id, False) for i, token in enumerate(piece)]
        try:
            self._context.evaluate(entries)
        except (ContextFull, LanguageModelError):
            self._evict(slot)
            return
        slot.tokens += piece
