"""What `tellerline doctor` looks at on an installed host: settings, models, units, lanes, certificates."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tellerline import host
from tellerline.cli import certificates
from tellerline.cli.finding import Finding, judged
from tellerline.engine import manifest
from tellerline.engine.store import ModelStore
from tellerline.errors import ModelError
from tellerline.host import State, Unit
from tellerline.settings import EngineSettings

_DISK_GIB = 2.0
_STATE = Path("/var/lib/tellerline")
_RENEW_DAYS = 14


def check(folder: Path, pki: Path = certificates.FOLDER) -> Iterator[Finding]:
    """Everything about the host whose settings are in `folder`. Raises HostError where there are none."""
    units = host.units(folder)
    for unit in units:
        yield check_settings(unit)
    for unit in units:
        if unit.daemon == "engine" and unit.chosen is not None:
            yield from check_models(unit.chosen)
    for name, state in (host.states(units) | host.companions()).items():
        yield check_unit(name, state)
    yield from _check_lanes(tuple(unit for unit in units if unit.daemon == "connector"))
    yield from check_certificates(pki)
    yield check_clock(_synchronised())
    yield check_swap(psutil.swap_memory().total)
    yield _check_disk(_STATE if _STATE.is_dir() else folder)


def check_settings(unit: Unit) -> Finding:
    """Whether a daemon would start with its settings."""
    remedy = "run the playbook again; it checks a file before it takes the place of the old one"
    return judged(f"settings {unit.file.name}", unit.fault or "good", not unit.fault, remedy)


def check_models(chosen: EngineSettings) -> Iterator[Finding]:
    """Whether every model the engine names is complete, by size and sha256."""
    recognition = chosen.recognition
    named = {
        recognition.whisper_model,
        recognition.vosk_model,
        *recognition.by_language.values(),
        chosen.language_model.model,
        chosen.synthesis.voice,
        *chosen.router.models.values(),
    }
    try:
        store = ModelStore(chosen.model_store, manifest.load(chosen.manifest))
        for name in sorted(filter(None, named)):
            faults = store.faults(name)
            found = "; ".join(f"{fault.path.name} {fault.problem}" for fault in faults) or "good"
            yield judged(f"model {name}", found, not faults, "install the release again from its bundle")
    except ModelError as error:
        yield Finding("models", "bad", str(error), "install the release again from its bundle")


def check_unit(name: str, state: State) -> Finding:
    """Whether systemd runs a daemon, and has not had to start it again and again."""
    if state.active == "unknown":
        return Finding(name, "advice", "systemd does not answer", "run this on the host, as root")
    found = f"{state.active} ({state.sub})" + (
        f", restarted {state.restarts} times" if state.restarts else ""
    )
    good = state.active == "active"
    if good and state.restarts:
        return Finding(name, "advice", found, f"see why: journalctl -u {name} -p warning")
    return judged(name, found, good, f"see why: journalctl -u {name}; then systemctl restart {name}")


def check_certificates(folder: Path) -> Iterator[Finding]:
    """Whether the host's certificates are good for a while."""
    now = datetime.now(UTC)
    for one in certificates.read(folder):
        days = one.days(now)
        found = one.fault or f"good for {days} days"
        good = not one.fault and days >= _RENEW_DAYS
        yield judged(f"certificate {one.file.name}", found, good, "ansible-playbook playbooks/rotate.yml")


def _check_lanes(connectors: tuple[Unit, ...]) -> Iterator[Finding]:
    for lane, answer in asyncio.run(host.ask_lanes(connectors)).items():
        reply = answer.reply
        calls = f"{len(reply.calls)} of {reply.lane_calls} calls"
        if answer.trouble:
            yield Finding(f"lane {lane}", "bad", answer.trouble, f"journalctl -u tellerline-connector@{lane}")
        elif reply.state == "draining":
            yield Finding(f"lane {lane}", "advice", f"draining, {calls}", f"tellerline undrain {lane}")
        else:
            remedy = f"journalctl -u tellerline-pipeline@{lane} -u tellerline-connector@{lane}"
            yield judged(
                f"lane {lane}", f"{reply.reason or 'ready'}, {calls}", reply.state == "ready", remedy
            )


def check_clock(synchronised: str) -> Finding:
    """Whether somebody keeps the clock: records, audit and certificates are only as good as it."""
    if synchronised not in ("yes", "no"):
        return Finding("clock", "advice", "systemd does not tell", "in a container, look at its host's clock")
    found = "synchronised" if synchronised == "yes" else "not synchronised"
    remedy = "chronyc sources; set tellerline_ntp_servers to the bank's clocks (a container's is its host's)"
    return judged("clock", found, synchronised == "yes", remedy, otherwise="advice")


def check_swap(total_bytes: int) -> Finding:
    """Whether memory of servers that hold what callers say may be written to disk."""
    remedy = "swapoff -a and /etc/fstab, or encrypt it: PostgreSQL's and Redis' memory may go there"
    return judged("swap", f"{total_bytes >> 20} MB", not total_bytes, remedy, otherwise="advice")


def _synchronised() -> str:
    command = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _check_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 2**30
    remedy = "free it: journalctl --vacuum-size=500M, old releases in /opt/tellerline/releases"
    return judged("disk", f"{free:.1f} GiB free at {folder}", free >= _DISK_GIB, remedy)
