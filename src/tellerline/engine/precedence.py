"""Who goes first on a CPU the models share: the next clause is heard sooner than the next token is needed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Precedence:
    """Lets short urgent work (recognition, synthesis) hold up work that runs ahead of speech anyway.

    The language model makes 100 tokens a second where a voice speaks four: stopping it between two tokens
    costs nothing, while decoding beside a clause made the clause 2-3 times slower on two cores.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._urgent = 0

    @contextlib.contextmanager
    def urgent(self) -> Iterator[None]:
        """While this is held, `give_way` waits."""
        with self._changed:
            self._urgent += 1
        try:
            yield
        finally:
            with self._changed:
                self._urgent -= 1
                self._changed.notify_all()

    def give_way(self, seconds: float) -> bool:
        """Waits until nothing urgent runs, `seconds` at most: many calls must not starve a model.

        False when something urgent still runs.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._urgent, seconds)


# One machine, one precedence; a GPU's models do not share a CPU and hardly meet here.
CPU = Precedence()
