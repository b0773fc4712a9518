"""Settings files: read back as written, and wrong ones say what would be right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tellerline import settings
from tellerline.errors import SettingsError

KINDS = [settings.EngineSettings, settings.PipelineSettings, settings.ConnectorSettings]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_dumped_loads_as_the_same(kind: type[settings.Concern], tmp_path: Path) -> None:
    file = tmp_path / "daemon.yml"
    file.write_text(settings.dump(kind()))
    assert settings.load(kind, file) == kind()


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_means_the_defaults(kind: type[settings.Concern], tmp_path: Path) -> None:
    file = tmp_path / "daemon.yml"
    file.touch()
    assert settings.load(kind, file) == kind()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sip: {port: 70000}", ["sip.port", "70000", "65535"]),
        ("sip: {prot: 5060}", ["sip.prot", "no such setting", "port"]),
        ("lanes: 3", ["lanes", "no such setting", "lane"]),
        ("drain_seconds: soon", ["drain_seconds", "soon", "number"]),
        ("control_socket: /" + "x" * 120, ["control_socket", "107", "shorter"]),
        ("- sip", ["mapping", "list"]),
        ("sip: {port: [}", ["YAML"]),
    ],
)
def test_a_wrong_value_names_key_value_and_what_is_right(text: str, names: list[str], tmp_path: Path) -> None:
    file = tmp_path / "connector.yml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        settings.load(settings.ConnectorSettings, file)
    for name in [str(file), *names]:
        assert name in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"connector\.yml: cannot be read"):
        settings.load(settings.ConnectorSettings, tmp_path / "connector.yml")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.SipSettings().port = 5061


def test_telemetry_and_look_ups_are_off_before_any_library_loads() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert os.environ["PIPECAT_LOG_LLM_CONTEXT"] == "off"


@pytest.mark.parametrize(
    "base_url", ["https://core.bank.example/tellerline/v1", "http://127.0.0.1:8090", "http://[::1]:8090"]
)
def test_the_bank_is_reached_over_tls_or_on_this_machine(base_url: str) -> None:
    assert settings.BankSettings(base_url=base_url).base_url == base_url


@pytest.mark.parametrize(
    "base_url", ["http://core.bank.example", "http://127.0.0.1.example", "core.bank.example", "https://", ""]
)
def test_a_pin_never_travels_in_the_clear(base_url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        settings.BankSettings(base_url=base_url)


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValueError, match="together"):
        settings.BankSettings(base_url="https://bank", certificate=Path("teller.pem"))
