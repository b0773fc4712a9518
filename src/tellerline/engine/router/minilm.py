"""Sentence embeddings of a BERT-like encoder in ONNX form (all-MiniLM-L6-v2 and its kin)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from tellerline.engine.router.port import Embedder, Vectors
from tellerline.errors import RoutingError

# Trained on 128 word pieces (its model card); half a minute of speech is about 100.
_MOST_TOKENS = 128


class MiniLmEmbedder(Embedder):
    """Mean of the last layer's token vectors, as the model was trained (Reimers and Gurevych 2019)."""

    def __init__(self, folder: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A sentence takes one 8 ms run; the arena would keep its largest one for ever.
        options.enable_cpu_mem_arena = False
        # Threads that wait must not burn the core a neighbour needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {value.name for value in self._session.get_inputs()}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_MOST_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, text: str) -> Vectors:
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        wanted = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        given = {name: value for name, value in wanted.items() if name in self._inputs}
        try:
            tokens = self._session.run(None, given)[0]
        except Exception as error:
            raise RoutingError(f"routing: the embedding failed ({type(error).__name__})") from error
        vector: Vectors = np.asarray(tokens[0], dtype=np.float32).mean(axis=0)
        return vector / np.float32(np.linalg.norm(vector))

    def close(self) -> None:
        del self._session
