"""Settings of `tellerline banking`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import pydantic
from pydantic import Field

from tellerline.settings.concern import Address, Concern, Monitoring, Tls
from tellerline.settings.datastores import DatabaseSettings, RedisSettings


def _secret_on_the_wire(url: str) -> str:
    parts = urlsplit(url)
    plain = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or not (plain or parts.scheme == "https"):
        raise ValueError("PINs travel here: give an https:// address, or http:// on 127.0.0.1")
    return url


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
