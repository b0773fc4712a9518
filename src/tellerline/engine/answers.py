"""What the models of an engine answer to fixed questions, to the last decimal that is theirs: for comparing.

The self-test asks whether an answer is right. This asks whether it is the *same*, in another sandbox or on
another machine: a model that is computed wrongly need not be wrong enough for the self-test.
"""

from __future__ import annotations

from pathlib import Path

from tellerline.engine import self_test
from tellerline.engine.llm.port import Message, Prompt, Sampling
from tellerline.engine.models import Models

_TOKENS = 32
_QUESTIONS = ("What is a standing order?", "I lost my card and I am abroad. What now?")
_SENTENCES = ("how much money do i have", "my card has gone missing", "do you sell shoes")


async def ask(models: Models, sounds: list[Path]) -> dict[str, str]:
    """Model and question → answer. `sounds` are WAV files (8,000 Hz, mono, 16 bit) for the recognisers.

    Synthesis is left out: its voices draw noise, and answer otherwise each time. Raises ModelError.
    """
    found = {}
    for engine, name in models.recognizer_models.items():
        for sound in sounds:
            utterance = models.recognizers[engine].open("", partials=False)
            await utterance.hear(self_test.read(sound))
            heard = await utterance.finalize()
            utterance.close()
            found[f"{name}: {sound.name}"] = f"{heard.text} ({heard.avg_logprob:.3f})"
    for question in _QUESTIONS:
        prompt = Prompt("", (Message("user", question),), sampling=Sampling(max_tokens=_TOKENS))
        said = [event async for event in models.language_model.generate(prompt) if isinstance(event, str)]
        found[f"{models.language_model_name}: {question}"] = "".join(said)
    for code, name in models.router_models.items():
        for sentence in _SENTENCES:
            guess = (await models.router.route(sentence, code)).guesses[0]
            found[f"{name}: {sentence}"] = f"{guess.intent} ({guess.probability:.4f})"
    return found
