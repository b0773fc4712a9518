"""What a site has to set before a word leaves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tellerline import settings
from tellerline.errors import SettingsError
from tellerline.pipeline.engine import Engine
from tellerline.pipeline.providers.site import Providers

SERVER = "openai: {base_url: 'https://api.openai.com/v1', key: /run/key, chat_model: gpt-4o-mini}"
VOICE = "elevenlabs: {base_url: 'wss://api.elevenlabs.io', key: /run/key, voice_id: 21m00Tcm4TlvDq8ikWAM}"


def load(tmp_path: Path, text: str) -> settings.ProvidersSettings:
    file = tmp_path / "pipeline.yml"
    file.write_text("providers: {" + text + "}")
    return settings.load(settings.PipelineSettings, file).providers


def test_the_default_is_the_engine_alone() -> None:
    default = settings.PipelineSettings().providers
    assert default.recognition == default.language_model == default.synthesis == ("local",)
    assert default.openai is default.elevenlabs is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("language_model: [openai, local]", ["providers.openai", "base_url", "key"]),
        (f"recognition: [openai], {SERVER}", ["transcription_model"]),
        ("synthesis: [elevenlabs]", ["providers.elevenlabs", "voice_id"]),
        ("synthesis: [openai]", ["synthesis"]),
        ("language_model: []", ["language_model", "at least one"]),
        ("language_model: [local, local]", ["each once"]),
        ("openai: {key: /run/key}", ["base_url"]),
        ("openai: {base_url: 'https://api.openai.com/v1'}", ["key"]),
        ("openai: {base_url: 'http://llm.bank.example/v1', key: /run/key}", ["https://"]),
        (VOICE.replace("wss:", "ws:"), ["wss://"]),
        (VOICE.replace("21m00", "../"), ["voice_id"]),
    ],
)
def test_what_is_not_set_up_is_refused(tmp_path: Path, text: str, names: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    for name in names:
        assert name in str(caught.value)


@pytest.mark.parametrize("content", [None, "", "\n", "two words", "\xff"])
async def test_a_key_that_cannot_be_read_stops_the_start(tmp_path: Path, content: str | None) -> None:
    key = tmp_path / "key"
    if content is not None:
        key.write_bytes(content.encode("latin-1"))
    chosen = load(tmp_path, SERVER.replace("/run/key", str(key)))
    with pytest.raises(SettingsError, match=r"providers\.openai\.key"):
        Providers(chosen, Engine(tmp_path / "none.sock"))


async def test_a_choice_is_taken_whole_or_not(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-1")
    chosen = load(tmp_path, SERVER.replace("/run/key", str(key)))
    providers = Providers(chosen, Engine(tmp_path / "none.sock"))
    before = providers.strategy
    with pytest.raises(SettingsError, match="elevenlabs"):
        providers.choose({"language_model": ["openai"], "synthesis": ["elevenlabs"]})
    with pytest.raises(SettingsError, match="no kind"):
        providers.choose({"telepathy": ["local"]})
    assert providers.strategy == before
    providers.choose({"language_model": ["openai", "local"]})
    assert providers.strategy.language_model == ("openai", "local")
    await providers.close()
