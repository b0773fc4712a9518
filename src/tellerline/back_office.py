"""What stands behind the voice in the embedded stack: datastores, session, banking, a bank, a colleague.

The same daemons as on an appliance, with PostgreSQL and Valkey from wheels and keys made on the first start.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx

from tellerline import settings
from tellerline.embedded import Datastores
from tellerline.monitoring import health

# Beneath which the sandbox bank serves docs/bank-api.yaml, and its own switches.
BASE_PATH = "/tellerline/v1"
# As ConnectorSettings' SIP port: the first free ones from here on.
_BANK_PORT = 8070
_SANDBOX_PATH = "/sandbox"
_COLLEAGUE_PORT = 5090
_KEY_BYTES = 32
_ASK_SECONDS = 1.0


class Host(Protocol):
    """What the stack does for its back office: names sockets, runs units, waits for them."""

    def socket(self, daemon: str, instance: str) -> Path:
        """Where a daemon's unix socket goes."""
        ...

    def run_daemon(self, daemon: str, instance: str, chosen: settings.Concern) -> None:
        """Runs `tellerline DAEMON` with these settings."""
        ...

    def run_unit(self, name: str, module: tuple[str, ...]) -> None:
        """Runs a Python module under supervision."""
        ...

    def wait(self, unit: str, healthy: Callable[[Path], bool], socket: Path) -> None:
        """Waits until the unit is healthy. Raises StackError."""
        ...

    def free_port(self, first: int) -> int:
        """The first free port from `first` on."""
        ...


class BackOffice:
    """Session and banking daemons (`instances` of each) over real datastores and a sandbox bank."""

    def __init__(self, host: Host, home: Path, *, instances: int = 1, bank_delay_ms: int = 0) -> None:
        self._host = host
        self._home = home
        self._instances = [str(number) for number in range(instances)]
        self._bank_delay_ms = bank_delay_ms
        self.datastores = Datastores(home / "datastores")
        self._has_datastores = False
        self.sandbox_url = ""
        self.bank_url = ""
        self.colleague_uri = ""

    def start(self) -> None:
        """Starts everything; `wait_until_ready` waits for it. Raises DatastoreError."""
        port = self._host.free_port(_BANK_PORT)
        self.sandbox_url = f"http://127.0.0.1:{port}{_SANDBOX_PATH}"
        self.bank_url = f"http://127.0.0.1:{port}{BASE_PATH}"
        delay = ("--latency-ms", str(self._bank_delay_ms)) if self._bank_delay_ms else ()
        self._host.run_unit("sandbox-bank", ("tellerline", "sandbox-bank", "--port", str(port), *delay))
        port = self._host.free_port(_COLLEAGUE_PORT)
        self.colleague_uri = f"sip:colleague@127.0.0.1:{port}"
        self._host.run_unit("colleague", ("tellerline.robot.colleague", "--port", str(port)))
        self.datastores.__enter__()
        self._has_datastores = True
        for instance in self._instances:
            self._host.run_daemon("session", instance, self._session(instance))
            self._host.run_daemon("banking", instance, self._banking(instance))

    def wait_until_ready(self) -> None:
        """Waits until all of it serves. Raises StackError."""
        self._host.wait("sandbox-bank", self._bank_answers, Path())
        for instance in self._instances:
            for daemon in ("session", "banking"):
                socket = self._host.socket(daemon, instance)
                self._host.wait(f"{daemon}@{instance}", health.serving, socket)

    def stop(self) -> None:
        """Stops the datastores; the supervisor has stopped who used them."""
        if self._has_datastores:
            self._has_datastores = False
            self.datastores.stop()

    # ---- what lanes are configured with

    @property
    def session(self) -> settings.ServiceAddresses:
        """Where the session service listens."""
        return self._addresses("session")

    @property
    def banking(self) -> settings.ServiceAddresses:
        """Where the banking service listens."""
        return self._addresses("banking")

    @property
    def banking_secrets(self) -> settings.ServiceAddresses:
        """Where connectors bring secret digits."""
        return self._addresses("banking-secrets")

    @property
    def site_key(self) -> Path:
        """The key that wraps each recording's own."""
        return self._key("recordings")

    # ---- settings

    def _addresses(self, service: str) -> settings.ServiceAddresses:
        sockets = (self._host.socket(service, instance) for instance in self._instances)
        return settings.ServiceAddresses(addresses=tuple(f"unix:{socket}" for socket in sockets))

    def _session(self, instance: str) -> settings.SessionSettings:
        return settings.SessionSettings(
            listen=f"unix:{self._host.socket('session', instance)}",
            database=self.datastores.database("session"),
            redis=self.datastores.redis("session"),
            audit_key=self._key("audit"),
            audit_heads=self._home / "audit-heads",
        )

    def _banking(self, instance: str) -> settings.BankingSettings:
        return settings.BankingSettings(
            listen=f"unix:{self._host.socket('banking', instance)}",
            secrets_listen=f"unix:{self._host.socket('banking-secrets', instance)}",
            database=self.datastores.database("banking"),
            redis=self.datastores.redis("banking"),
            bank=settings.BankSettings(base_url=self.bank_url),
            audit_key=self._key("audit"),
            audit_heads=self._home / "audit-heads",
        )

    def _key(self, name: str) -> Path:
        folder = self._home / "keys"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{name}.key"
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
        return path.resolve()

    def _bank_answers(self, _: Path) -> bool:
        try:
            return httpx.get(f"{self.sandbox_url}/behaviour", timeout=_ASK_SECONDS).is_success
        except httpx.HTTPError:
            return False
