"""Settings of every daemon: frozen, typed, one class a concern, read from one YAML file each.

This is the only package that reads configuration files or the environment. Secrets are never
values here, only paths of files (systemd credentials).
"""

from tellerline.settings.banking import BankingSettings, BankSettings, TransferLimits
from tellerline.settings.concern import Address, Concern, Monitoring, Port, ServiceAddresses, SocketPath, Tls
from tellerline.settings.connector import ConnectorSettings, RecordingSettings, SipSettings
from tellerline.settings.datastores import DatabaseSettings, RedisSettings
from tellerline.settings.engine import (
    AdmissionSettings,
    EngineSettings,
    LanguageModelSettings,
    RecognitionSettings,
    RouterSettings,
    SynthesisSettings,
)
from tellerline.settings.environment import quiet_environment
from tellerline.settings.pipeline import CallLimits, PipelineSettings, TurnSettings
from tellerline.settings.providers import (
    ElevenLabsSettings,
    OpenAISettings,
    ProviderKind,
    ProvidersSettings,
)
from tellerline.settings.reading import dump, load
from tellerline.settings.session import RetentionSettings, SessionSettings

__all__ = [
    "Address",
    "AdmissionSettings",
    "BankSettings",
    "BankingSettings",
    "CallLimits",
    "Concern",
    "ConnectorSettings",
    "DatabaseSettings",
    "ElevenLabsSettings",
    "EngineSettings",
    "LanguageModelSettings",
    "Monitoring",
    "OpenAISettings",
    "PipelineSettings",
    "Port",
    "ProviderKind",
    "ProvidersSettings",
    "RecognitionSettings",
    "RecordingSettings",
    "RedisSettings",
    "RetentionSettings",
    "RouterSettings",
    "ServiceAddresses",
    "SessionSettings",
    "SipSettings",
    "SocketPath",
    "SynthesisSettings",
    "Tls",
    "TransferLimits",
    "TurnSettings",
    "dump",
    "load",
    "quiet_environment",
]
