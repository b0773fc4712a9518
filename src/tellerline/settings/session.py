"""Settings of `tellerline session`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tellerline.settings.concern import Address, Concern, Monitoring, Tls
from tellerline.settings.datastores import DatabaseSettings, RedisSettings


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
