"""A llama.cpp model and its one context: tokens, chat template, batches, sequences. Not thread-safe.

Thin over the C interface (llama.h): the Python class of the same package serves one sequence at a time.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp

from tellerline.engine.llm.port import Message, PromptError
from tellerline.engine.llm.widen import widened
from tellerline.errors import LanguageModelError, ModelError
from tellerline.settings import LanguageModelSettings

# Tokens evaluated at once. The compute buffer grows with it, and a cancelled prompt waits for one batch.
BATCH_TOKENS = 256
_PIECE_BYTES = 128
_ALL_LAYERS = 0x7FFFFFFF
# Stands for a message's text where only what precedes it is wanted; no tokenizer merges across it.
_MARK = "\x01"


def _ignore(level: int, text: bytes, user_data: object) -> None:
    pass


# llama.cpp writes its log, prompts included at some levels, to standard error. Kept for the life of the
# process: a collected callback is a crash at the next log line.
_SILENT = llama_cpp.llama_log_callback(_ignore)


@dataclass(frozen=True)
class Entry:
    """One token of a batch: where it goes, and whether its logits are wanted."""

    token: int
    position: int
    seq_id: int
    logits: bool


def _load(gguf: Path, settings: LanguageModelSettings) -> llama_cpp.llama_model_p:
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = settings.gpu_layers if settings.gpu_layers >= 0 else _ALL_LAYERS
    on_cpu = settings.gpu_layers == 0
    with widened(gguf, settings.threads) if on_cpu else contextlib.nullcontext(gguf) as path:
        # A widened copy is repacked into llama.cpp's own memory; mapped, it would be there twice.
        params.use_mmap = path == gguf
        model: llama_cpp.llama_model_p = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise ModelError(f"language model: {gguf} does not load; take it again: tellerline models take")
    return model


class ContextFull(Exception):
    """No cells are left for a batch; evict a sequence and try again."""


class LlamaContext:
    """Model, vocabulary and one unified key-value cache over many sequences."""

    def __init__(self, gguf: Path, settings: LanguageModelSettings) -> None:
        llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = _load(gguf, settings)
        self.tokens_max = min(settings.context_tokens, llama_cpp.llama_model_n_ctx_train(self._model))
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = settings.context_tokens
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.n_seq_max = settings.sequences
        params.n_threads_batch = settings.threads
        # A step is bound by memory: one core makes 10 tokens in 102 ms, two in 93, and the voice wants the
        # other core. One thread also sums in one order: no answer depends on its neighbours.
        params.n_threads = max(1, settings.threads // 2)
        # One pool of cells for all sequences; split evenly, a long call could not borrow from a short one.
        params.kv_unified = True
        params.no_perf = True
        self.ctx = llama_cpp.llama_init_from_model(self._model, params)
        if not self.ctx:
            raise ModelError("language model: no memory for its context; lower language_model.context_tokens")
        self.vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.vocab_size: int = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self._memory = llama_cpp.llama_get_memory(self.ctx)
        self._batch = llama_cpp.llama_batch_init(BATCH_TOKENS, 0, 1)
        self._pieces: dict[int, bytes] = {}
        self._control = self._control_words()
        self._template = llama_cpp.llama_model_chat_template(self._model, None)
        if not self._template or not self._render((Message("user", "x"),), answer=True):
            raise ModelError(
                f"language model: {gguf.name} carries no chat template llama.cpp knows; use another"
            )

    def close(self) -> None:
        """Frees the model; nothing may be called after."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self.ctx)
        llama_cpp.llama_model_free(self._model)

    # ---- text

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of a conversation the model is to answer."""
        return self._tokenize(self._render(messages, answer=True))

    def opening_tokens(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of a conversation up to where the user's next words would stand."""
        text = self._render((*messages, Message("user", _MARK)), answer=False)
        return self._tokenize(text.partition(_MARK.encode())[0])

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; none for a control token."""
        if token not in self._pieces:
            self._pieces[token] = self._piece(token, special=False)
        return self._pieces[token]

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def _piece(self, token: int, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, _PIECE_BYTES, 0, special)
        return buffer.raw[: max(0, length)]

    def _control_words(self) -> re.Pattern[str]:
        control = (t for t in range(self.vocab_size) if llama_cpp.llama_vocab_is_control(self.vocab, t))
        words = {self._piece(token, special=True).decode(errors="ignore") for token in control}
        # Longest first, so that no word hides inside another.
        return re.compile("|".join(map(re.escape, sorted(words - {""}, key=len, reverse=True))) or "(?!)")

    def _render(self, messages: Sequence[Message], answer: bool) -> bytes:
        # A caller's words must not be able to close their own message: control words are taken out.
        texts = [self._control.sub("", message.content).replace("\0", "").encode() for message in messages]
        roles = [message.role.encode() for message in messages]
        chat = (llama_cpp.llama_chat_message * len(messages))(
            *(llama_cpp.llama_chat_message(role=r, content=t) for r, t in zip(roles, texts, strict=True))
        )
        size = 2 * sum(map(len, texts)) + 64 * len(messages) + 256
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_chat_apply_template(
                self._template, chat, len(messages), answer, buffer, size
            )
            if length <= size:
                return buffer.raw[: max(0, length)]
            size = length

    def _tokenize(self, text: bytes) -> list[int]:
        size = len(text) + 8
        tokens = (llama_cpp.llama_token * size)()
        count = llama_cpp.llama_tokenize(self.vocab, text, len(text), tokens, size, True, True)
        if count < 0:
            raise PromptError("language model: the prompt cannot be tokenised")
        return tokens[:count]

    # ---- the cache

    def evaluate(self, entries: Sequence[Entry]) -> None:
        """Evaluates a batch (at most BATCH_TOKENS). Raises ContextFull, or LanguageModelError."""
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, entry in enumerate(entries):
            batch.token[i] = entry.token
            batch.pos[i] = entry.position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = entry.seq_id
            batch.logits[i] = entry.logits
        status = llama_cpp.llama_decode(self.ctx, batch)
        if status == 1:
            raise ContextFull
        if status != 0:
            raise LanguageModelError(f"language model: llama_decode failed with {status}")

    def keep(self, seq_id: int, tokens: int) -> None:
        """Drops everything of a sequence past its first `tokens`."""
        llama_cpp.llama_memory_seq_rm(self._memory, seq_id, tokens, -1)

    def share(self, source: int, target: int, tokens: int) -> None:
        """Makes `target` hold the first `tokens` of `source`, without copying them."""
        llama_cpp.llama_memory_seq_rm(self._memory, target, -1, -1)
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, tokens)
