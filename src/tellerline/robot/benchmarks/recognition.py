"""Word error rate of the recognisers over G.711: our fifty lines, people, and Turkish of espeak-ng."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tellerline import bootstrap, language
from tellerline.errors import ScenarioError
from tellerline.language import speech
from tellerline.robot import recording, rtp, words
from tellerline.robot.benchmarks.bench import Bench, Budget, Result, lines
from tellerline.robot.g711 import PCMU, Samples
from tellerline.robot.voice import Voice
from tellerline.rpc import engine_pb2 as pb
from tellerline.rpc import engine_pb2_grpc

# Whisper models of the manifest this is measured for, as far as they are in the store.
_MODELS = ("whisper-tiny-en", "whisper-base")
# Those of them that hear other languages too.
_MULTILINGUAL = ("whisper-base",)
_DIGITS = "zero one two three four five six seven eight nine"
_STRINGS_A_SPEAKER = 4
_STRING_LENGTH = 6
# A stretch of words said this often in a row was not said by anybody.
_RUNAWAY = 4
_MARGIN = np.zeros(rtp.RATE_HZ // 10, np.int16)


def recognition(bench: Bench) -> Result:
    """Per recogniser: word error rate on the fifty lines and on digit strings, slots of spoken orders."""
    result = Result("recognition")
    bench.progress("recognition: rendering fifty lines")
    said = lines()["short"][: bench.turns]
    clips = {"lines": [(text, bench.caller.line(text, Voice()).samples) for text in said]}
    orders: list[tuple[dict[str, str], Samples]] = []
    if bench.data is not None and (bench.data / "digits-8k").is_dir():
        clips["digits"] = digit_strings(bench.data / "digits-8k")
        orders = _orders(bench.data / "orders-8k")
        if not orders:
            result.skipped.append(f"slots of people's orders: no labels.json in {bench.data / 'orders-8k'}")
    else:
        result.skipped.append(
            "people's voices (digit strings, orders): give --data FOLDER with digits-8k and orders-8k"
        )
    turkish = _turkish(bench, result)
    runaways = 0
    for model in _MODELS:
        if not (bench.models / model).is_dir():
            result.skipped.append(f"{model}: not in the model store; tellerline models take {model}")
            continue
        overrides = {"recognition": {"whisper_model": model}}
        with bench.running(0, engine=overrides) as state:
            assert state.engine_socket is not None
            bench.progress(f"recognition: {model}")
            heard = clips | turkish if model in _MULTILINGUAL else clips
            figures, run_away = asyncio.run(_measure(state.engine_socket, heard, orders))
        result.figures[model] = figures
        runaways += run_away
        errors = ", ".join(
            f"{name} {found['word_error_rate']:.1%}" for name, found in figures.items() if name in heard
        )
        bench.progress(f"{model}: word error rate {errors}")
    # No recogniser at hand: nothing was measured, so nothing held.
    result.budgets = [Budget("runaway repeats", runaways if result.figures else None, 0)]
    return result


async def _measure(
    socket: Path,
    clips: dict[str, list[tuple[str, Samples]]],
    orders: Sequence[tuple[dict[str, str], Samples]],
) -> tuple[dict[str, Any], int]:
    figures: dict[str, Any] = {}
    runaways = 0
    async with bootstrap.channel(socket) as channel:
        stub = engine_pb2_grpc.RecognitionStub(channel)
        for name, spoken in clips.items():
            wrong = total = 0
            decode_ms: list[float] = []
            for said, samples in spoken:
                transcript = await recognise(stub, samples, "tr" if name == "turkish" else "en")
                errors, count = words.word_errors(said, _comparable(transcript.text, name))
                wrong, total = wrong + errors, total + count
                decode_ms.append(transcript.decode_ms)
                runaways += runs_away(transcript.text)
            figures[name] = {
                "word_error_rate": round(wrong / max(1, total), 4),
                "clips": len(spoken),
                "decode_p50_ms": round(float(np.median(decode_ms)), 1),
            }
        found = total = 0
        for slots, samples in orders:
            transcript = await recognise(stub, samples)
            runaways += runs_away(transcript.text)
            found += sum(words.contains(transcript.text, value) for value in slots.values())
            total += len(slots)
        if orders:
            figures["orders"] = {"slots_heard": found, "slots": total, "clips": len(orders)}
    return figures, runaways


def _turkish(bench: Bench, result: Result) -> dict[str, list[tuple[str, Samples]]]:
    said = lines()["turkish"][: bench.turns]
    try:
        spoken = [bench.caller.line(text, Voice(language="tr")).samples for text in said]
    except ScenarioError as error:
        result.skipped.append(f"Turkish: {error}")
        return {}
    return {"turkish": [(in_turkish(text), clip) for text, clip in zip(said, spoken, strict=True)]}


def _comparable(heard: str, name: str) -> str:
    """What was heard, written as the clips called `name` are."""
    if name == "turkish":
        return in_turkish(heard)
    return spelled(heard) if name == "digits" else heard


def in_turkish(text: str) -> str:
    """`text` in lower case without accents, its figures in words."""
    worded = re.sub(r"\d{1,9}", lambda figure: f" {speech.say_number(int(figure[0]), 'tr')} ", text)
    return language.fold(worded, "tr")


async def recognise(stub: Any, samples: Samples, code: str = "en") -> pb.Transcript:
    """The engine's transcript of one utterance that came over a G.711 line."""
    pcm = PCMU.decode(PCMU.encode(np.concatenate([_MARGIN, samples, _MARGIN]))).tobytes()

    async def requests() -> AsyncIterator[pb.RecognizeRequest]:
        start = pb.RecognizeStart(language=code, engine="whisper")
        yield pb.RecognizeRequest(call_id="bench", start=start)
        for at in range(0, len(pcm), 320):
            yield pb.RecognizeRequest(call_id="bench", audio=pcm[at : at + 320])
        yield pb.RecognizeRequest(call_id="bench", finalize=pb.Finalize(sequence=1))

    async for reply in stub.Recognize(requests(), timeout=30):
        if reply.transcript.final:
            transcript: pb.Transcript = reply.transcript
            return transcript
    return pb.Transcript()


def spelled(text: str) -> str:
    """The digits in a transcript one by one: recognisers write strings as figures, grouped as they like."""
    found = re.findall(rf"\d|\b(?:{_DIGITS.replace(' ', '|')}|oh)\b", text.lower())
    names = _DIGITS.split()
    return " ".join(names[int(one)] if one.isdigit() else one.replace("oh", "zero") for one in found)


def runs_away(text: str) -> bool:
    """Whether one to four words repeat four times in a row; digits may."""
    heard = [word for word in words.normalised(text).split() if word not in _DIGITS.split()]
    for length in range(1, 5):
        for at in range(len(heard) - length * _RUNAWAY + 1):
            if heard[at : at + length] * _RUNAWAY == heard[at : at + length * _RUNAWAY]:
                return True
    return False


def digit_strings(folder: Path, seed: int = 5) -> list[tuple[str, Samples]]:
    """Strings of six digits, takes of one speaker each, with natural gaps; always the same ones."""
    takes: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*_*_*.wav")):
        takes.setdefault(path.stem.split("_")[1], []).append(path)
    chance = random.Random(seed)
    strings = []
    for speaker in sorted(takes):
        for _ in range(_STRINGS_A_SPEAKER):
            chosen = chance.choices(takes[speaker], k=_STRING_LENGTH)
            parts: list[Samples] = []
            for path in chosen:
                parts.append(recording.read(path))
                parts.append(np.zeros(round(rtp.RATE_HZ * chance.uniform(0.08, 0.22)), np.int16))
            said = " ".join(_DIGITS.split()[int(path.stem.split("_")[0])] for path in chosen)
            strings.append((said, np.concatenate(parts)))
    return strings


def _orders(folder: Path) -> list[tuple[dict[str, str], Samples]]:
    labels = folder / "labels.json"
    if not labels.exists():
        return []
    listed = json.loads(labels.read_text(encoding="utf-8"))
    return [(entry["slots"], recording.read(folder / name)) for name, entry in sorted(listed.items())]
