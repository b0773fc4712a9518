"""What is set in the environment of a process, for libraries that read it."""

from __future__ import annotations

import os


def quiet_environment() -> None:
    """Turns off every library's own telemetry, hub look-ups and transcript logging.

    Must run before onnxruntime, huggingface_hub or pipecat is imported; `tellerline/__init__.py`
    does so. onnxruntime >= 1.29 reports to its vendor unless told otherwise, and hides that when CI is set.
    """
    os.environ.update(
        ORT_DISABLE_TELEMETRY="1",
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        TRANSFORMERS_OFFLINE="1",
        PIPECAT_LOG_LLM_CONTEXT="off",
        DO_NOT_TRACK="1",
    )
    # OpenMP's threads spin for milliseconds and burn the core a neighbour needs: beside one busy process
    # llama.cpp took 230-1,500 ms a token on two cores, 18 when they never spin, 9 with this many turns
    # (about 0.1 ms). libgomp reads it when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
