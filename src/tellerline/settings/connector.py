"""Settings of `tellerline connector`."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tellerline.settings.concern import Concern, Monitoring, Port, ServiceAddresses, SocketPath


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
    # The only SIP URIs a caller is sent to, whatever the pipeline says; empty: nobody is sent anywhere.
    transfer_targets: tuple[str, ...] = ()
    # How long SIGTERM waits for running calls before BYE.
    drain_seconds: Annotated[float, Field(ge=0)] = 120.0
    # A call whose pipeline died waits this long for it before a polite end.
    reattach_seconds: Annotated[float, Field(gt=0)] = 10.0
    monitoring: Monitoring = Monitoring()
