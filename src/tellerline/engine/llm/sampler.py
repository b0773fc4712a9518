"""Chooses the next token of one sequence, freely or within a grammar."""

from __future__ import annotations

import ctypes
import json
import math

import llama_cpp
import numpy as np
from llama_cpp import llama_grammar

from tellerline.engine.llm.context import LlamaContext
from tellerline.engine.llm.port import Prompt, PromptError, Sampling

# llama_token_data of llama.h.
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def grammar_of(prompt: Prompt) -> str:
    """The GBNF a prompt is constrained by; "" for none. Raises PromptError for a wrong schema."""
    if not prompt.json_schema:
        return prompt.grammar
    try:
        return str(llama_grammar.json_schema_to_gbnf(prompt.json_schema))
    except (json.JSONDecodeError, KeyError, ValueError, AssertionError, TypeError, AttributeError) as error:
        raise PromptError(f"language model: the JSON schema is wrong: {type(error).__name__}") from error


class Sampler:
    """One chain of llama.cpp samplers, and a grammar beside it."""

    def __init__(self, context: LlamaContext, sampling: Sampling, grammar: str) -> None:
        self._context = context
        self._grammar = None
        if grammar:
            self._grammar = llama_cpp.llama_sampler_init_grammar(context.vocab, grammar.encode(), b"root")
            if not self._grammar:
                raise PromptError("language model: the grammar is not GBNF with a rule named root")
        self._chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for sampler in _samplers(sampling):
            llama_cpp.llama_sampler_chain_add(self._chain, sampler)

    def sample(self, index: int) -> int:
        """The next token after entry `index` of the last batch."""
        token: int = llama_cpp.llama_sampler_sample(self._chain, self._context.ctx, index)
        if self._grammar is None:
            return token
        # Testing 49,152 words against a grammar costs 8 ms, one word microseconds: the free choice first.
        if not self._allows(token):
            token = self._constrained(index)
        if not self._context.is_end(token):
            llama_cpp.llama_sampler_accept(self._grammar, token)
        return token

    def close(self) -> None:
        """Frees the samplers."""
        llama_cpp.llama_sampler_free(self._chain)
        if self._grammar is not None:
            llama_cpp.llama_sampler_free(self._grammar)

    def _allows(self, token: int) -> bool:
        one = (llama_cpp.llama_token_data * 1)(llama_cpp.llama_token_data(id=token, logit=1.0, p=0.0))
        candidates = llama_cpp.llama_token_data_array(data=one, size=1, selected=-1, sorted=False)
        llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(candidates))
        return not math.isinf(one[0].logit)

    def _constrained(self, index: int) -> int:
        size = self._context.vocab_size
        logits = llama_cpp.llama_get_logits_ith(self._context.ctx, index)
        words = np.zeros(size, _CANDIDATE)
        words["id"] = np.arange(size)
        words["logit"] = np.ctypeslib.as_array(logits, (size,))
        candidates = llama_cpp.llama_token_data_array(
            data=words.ctypes.data_as(llama_cpp.llama_token_data_p), size=size, selected=-1, sorted=False
        )
        llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(candidates))
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        return int(candidates.data[candidates.selected].id)


def _samplers(sampling: Sampling) -> list[llama_cpp.llama_sampler_p]:
    if sampling.temperature <= 0:
        return [llama_cpp.llama_sampler_init_greedy()]
    chain = []
    if 0 < sampling.top_p < 1:
        chain.append(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
    chain.append(llama_cpp.llama_sampler_init_temp(sampling.temperature))
    chain.append(llama_cpp.llama_sampler_init_dist(sampling.seed))
    return chain
