"""A turn is served to its end in the order it began with."""

from __future__ import annotations

from pathlib import Path

from tellerline import language
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.providers.of_call import CallProviders
from tellerline.pipeline.providers.ports import Speaker
from tellerline.pipeline.providers.site import Providers
from tellerline.settings import OpenAISettings, ProvidersSettings


async def test_a_switch_counts_from_the_next_turn_on(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-1")
    server = OpenAISettings(base_url="https://llm.bank.example/v1", key=key, chat_model="m")
    providers = Providers(ProvidersSettings(openai=server), Engine(tmp_path / "none.sock"))
    call = CallProviders(providers)
    words = language.load("en")
    assert call.thinks_here(Speaker("c", 1, words))
    providers.choose({"language_model": ["openai"]})
    assert call.thinks_here(Speaker("c", 1, words))
    assert not call.thinks_here(Speaker("c", 2, words))
    await providers.close()
