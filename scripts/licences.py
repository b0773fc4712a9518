"""Writes docs/licences.md: every locked package and every model with its licence."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import yaml

from tellerline.bundle.sbom import licence_of

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Licences

Tellerline is GPL-3.0-or-later: it links PJSIP (GPL-2.0-or-later) and Piper (GPL-3.0-or-later).
Written by `make licences`.

"""

ELSEWHERE = """## Inside packages, and from Debian

| what | where from | licence |
|---|---|---|
| Silero VAD | pipecat-ai | MIT |
| smart-turn v3.2 | pipecat-ai | BSD-2-Clause |
| espeak-ng phoneme data | piper-tts | GPL-3.0-or-later |
| llama.cpp and ggml | llama-cpp-python | MIT |
| BANKING77 (weights derived from it: language/intent_weights) | PolyAI Limited | CC-BY-4.0 |
| AgentDojo's banking injections (tests/data) | ETH Zurich SPY Lab | MIT |
| sipp, iproute2 (tests) | Debian | GPL-2.0 |
| promtool, amtool (tests) | Debian | Apache-2.0 |
| espeak-ng | Debian | GPL-3.0-or-later |
"""


def locked(lock: str) -> dict[str, str]:
    """Package → version, as a lock file pins them."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), flags=re.MULTILINE))


def packages(title: str, pins: dict[str, str]) -> str:
    """A table of packages; those not installed here are an error."""
    rows = (
        f"| {name} | {version} | {licence_of(metadata.metadata(name))} |"
        for name, version in sorted(pins.items())
    )
    return "\n".join((f"## {title}", "", "| package | version | licence |", "|---|---|---|", *rows, ""))


def models(manifest: str) -> str:
    """A table of the models of a manifest."""
    listed = yaml.safe_load((ROOT / manifest).read_text())["models"]
    rows = (f"| {name} | {model['job']} | {model['licence']} |" for name, model in listed.items())
    return "\n".join(
        (f"## Models of {manifest}", "", "| model | job | licence |", "|---|---|---|", *rows, "")
    )


def document() -> str:
    """The whole page: locked packages of the installed environment, models, Debian's tools."""
    run = locked("requirements.lock")
    test = {name: pin for name, pin in locked("requirements-test.lock").items() if name not in run}
    build = {
        name: pin for name, pin in locked("requirements-build.lock").items() if name not in (*run, *test)
    }
    return HEAD + "\n".join(
        (
            packages("At run time", run),
            packages("For tests only", test),
            packages("To build only", build),
            models("models/starter.yml"),
            models("models/production.yml"),
            ELSEWHERE,
        )
    )


if __name__ == "__main__":
    (ROOT / "docs" / "licences.md").write_text(document())
