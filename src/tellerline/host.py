"""What of Tellerline an installed host has: read from its settings in /etc/tellerline, asked over sockets.

For commands of operators on a host. The daemons know nothing of each other's settings; this does.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from prometheus_client.parser import text_string_to_metric_families

from tellerline import bootstrap, settings
from tellerline.errors import HostError, SettingsError
from tellerline.rpc import control_pb2 as pb
from tellerline.rpc import control_pb2_grpc as rpc

FOLDER = Path("/etc/tellerline")
_ASK_SECONDS = 2.0
# Daemon → its settings, in the order they are shown.
_KINDS: Mapping[str, type[settings.Concern]] = {
    "engine": settings.EngineSettings,
    "pipeline": settings.PipelineSettings,
    "connector": settings.ConnectorSettings,
    "session": settings.SessionSettings,
    "banking": settings.BankingSettings,
}
# What `systemctl show` is asked for of each unit.
_PROPERTIES = ("Id", "ActiveState", "SubState", "Result", "NRestarts", "StatusText", "UnitFileState")
# What else a host of the site may run: other people's servers, and the site's own small ones.
_COMPANIONS = (
    "opensips.service",
    "rtpengine-daemon.service",
    "keepalived.service",
    "postgresql@15-main.service",
    "redis-server.service",
    "nftables.service",
    "chrony.service",
    "rsyslog.service",
    "prometheus.service",
    "prometheus-alertmanager.service",
    "prometheus-node-exporter.service",
    "tellerline-sandbox-bank.service",
    "tellerline-sip-trace.service",
    "tellerline-rtpengine-metrics.service",
    "tellerline-edge-certificates.path",
    "tellerline-certificates.timer",
    "tellerline-call-export.timer",
    "tellerline-audit.timer",
    "tellerline-host-metrics.timer",
)


@dataclass(frozen=True)
class Unit:
    """One daemon the host has settings for; `chosen` is None where those are wrong, `fault` says how."""

    daemon: str
    instance: str
    file: Path
    chosen: Any = None
    fault: str = ""

    @property
    def name(self) -> str:
        """As systemd calls it."""
        at = f"@{self.instance}" if self.instance else ""
        return f"tellerline-{self.daemon}{at}.service"


@dataclass(frozen=True)
class State:
    """What systemd says of a unit."""

    active: str = "unknown"
    sub: str = ""
    result: str = ""
    restarts: int = 0
    status: str = ""


@dataclass(frozen=True)
class LaneAnswer:
    """What a lane's connector says; `trouble` where it says nothing."""

    reply: pb.StatusReply = field(default_factory=pb.StatusReply)
    trouble: str = ""


def units(folder: Path = FOLDER) -> tuple[Unit, ...]:
    """The daemons this host has settings for, engines first. Raises HostError where it has none."""
    found = tuple(_units(folder))
    if not found:
        raise HostError(
            f"no settings of a daemon in {folder}: is this host of the site? give --config-folder"
        )
    return found


def _units(folder: Path) -> Iterator[Unit]:
    for daemon, kind in _KINDS.items():
        single = folder / f"{daemon}.yml"
        for file in (*([single] if single.exists() else ()), *sorted(folder.glob(f"{daemon}@*.yml"))):
            instance = file.stem.partition("@")[2]
            try:
                yield Unit(daemon, instance, file, settings.load(kind, file))
            except SettingsError as error:
                yield Unit(daemon, instance, file, fault=str(error))


def lanes(folder: Path = FOLDER) -> tuple[Unit, ...]:
    """The connectors of this host. Raises HostError where it has none."""
    found = tuple(unit for unit in units(folder) if unit.daemon == "connector")
    if not found:
        raise HostError(f"this host has no lanes (no connector@*.yml in {folder})")
    return found


# ---- asking


def states(wanted: tuple[Unit, ...]) -> dict[str, State]:
    """What systemd says of each unit, by its name; "unknown" where there is no systemd to ask."""
    names = [unit.name for unit in wanted]
    found = _told_of(names)
    return {name: found[name][0] if name in found else State() for name in names}


def companions() -> dict[str, State]:
    """What systemd says of everything else of the site that is to start with this host, by its unit."""
    found = _told_of(_COMPANIONS)
    return {name: state for name, (state, starts) in found.items() if starts.startswith("enabled")}


def _told_of(names: Sequence[str]) -> dict[str, tuple[State, str]]:
    """By unit its state, and whether it starts with the host, in systemd's word."""
    command = ("systemctl", "show", f"--property={','.join(_PROPERTIES)}", *names)
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    found = {}
    for block in said.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            state = State(
                values.get("ActiveState", "unknown"),
                values.get("SubState", ""),
                values.get("Result", ""),
                int(values.get("NRestarts") or 0),
                values.get("StatusText", ""),
            )
            found[values["Id"]] = state, values.get("UnitFileState", "")
    return found


async def ask_lanes(wanted: tuple[Unit, ...]) -> dict[str, LaneAnswer]:
    """Each connector's Status, by lane."""
    answers = await asyncio.gather(*(_ask(unit, "Status", pb.StatusRequest()) for unit in wanted))
    return {
        unit.instance: LaneAnswer(trouble=answer) if isinstance(answer, str) else LaneAnswer(reply=answer)
        for unit, answer in zip(wanted, answers, strict=True)
    }


async def tell_lanes(wanted: tuple[Unit, ...], what: str, request: Any) -> dict[str, Any]:
    """Sends Control `what` to each connector; by lane its reply, or a string that says why there is none."""
    replies = await asyncio.gather(*(_ask(unit, what, request) for unit in wanted))
    return {unit.instance: reply for unit, reply in zip(wanted, replies, strict=True)}


async def _ask(unit: Unit, what: str, request: Any) -> Any:
    if unit.chosen is None:
        denied = f"{unit.file} may not be read: be root, or a member of the group tellerline"
        return denied if "Permission denied" in unit.fault else unit.fault
    socket: Path = unit.chosen.control_socket
    if (closed := _closed(socket)) is not None:
        return closed
    async with bootstrap.channel(socket) as channel:
        try:
            return await getattr(rpc.ControlStub(channel), what)(request, timeout=_ASK_SECONDS)
        except grpc.aio.AioRpcError as error:
            return f"does not answer ({error.code().name})"


def _closed(socket: Path) -> str | None:
    """Why `socket` cannot be opened; None where it seems that it can."""
    try:
        socket.stat()
    except PermissionError:
        return f"may not be asked at {socket}: be root, or a member of the group tellerline"
    except OSError:
        return "does not run"
    return None if os.access(socket, os.W_OK) else f"may not be asked at {socket}: be root"


def figures(unit: Unit) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """A daemon's metrics, by name and labels; none where it shows none or does not answer."""
    monitoring = getattr(unit.chosen, "monitoring", None)
    if monitoring is None or monitoring.metrics_port is None:
        return {}
    address = f"http://{monitoring.metrics_host}:{monitoring.metrics_port}/metrics"
    # No proxy of the environment: this is the host itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=_ASK_SECONDS) as answer:
            text = answer.read().decode()
    except (OSError, urllib.error.URLError, ValueError):
        return {}
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def enumerated(
    found: Mapping[tuple[str, tuple[tuple[str, str], ...]], float], name: str
) -> Iterator[tuple[str, str]]:
    """What holds of an Enum metric: its other labels in a word, and the state."""
    for (sample, labels), value in found.items():
        if sample == name and value == 1.0:
            others = " by ".join(text for label, text in labels if label != name)
            yield others, dict(labels)[name]
