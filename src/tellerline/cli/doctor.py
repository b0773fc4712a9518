"""`tellerline doctor`: looks at the machine, the models, the ports and the devices, and says what to do."""

from __future__ import annotations

import dataclasses
import importlib
import json
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from tellerline import host, ports, stack, stack_state
from tellerline.cli.finding import Finding, judged
from tellerline.engine import manifest
from tellerline.engine.store import ModelStore
from tellerline.errors import ModelError
from tellerline.settings import SipSettings

# Measured on the reference box with four calls: engine 1.3 GB, connector 0.1, pipeline 0.4 (docs/latency.md).
_MEMORY_GIB = 3.0
_DISK_GIB = 2.0
_CORES = 2
_SOCKET_NAME_BYTES = len("/tellerline-12345678/connector@cpu-15.sock")
_SOCKET_PATH_BYTES = 107
_LIBRARIES = (
    "pjsua2",
    "grpc",
    "ctranslate2",
    "faster_whisper",
    "llama_cpp",
    "onnxruntime",
    "piper",
    "pipecat",
)


@dataclass(frozen=True)
class Machine:
    """What the checks need to know of a machine."""

    python: tuple[int, int]
    cores: int
    memory_gib: float
    disk_gib: float
    architecture: str
    cpu_flags: frozenset[str]
    temporary_folder: Path


def this_machine(home: Path) -> Machine:
    """The machine this runs on; disk is what is free where `home` lies."""
    existing = next(folder for folder in (home, *home.resolve().parents) if folder.exists())
    flags = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    return Machine(
        python=(sys.version_info.major, sys.version_info.minor),
        cores=len(psutil.Process().cpu_affinity() or ()),
        memory_gib=psutil.virtual_memory().available / 2**30,
        disk_gib=shutil.disk_usage(existing).free / 2**30,
        architecture=platform.machine(),
        cpu_flags=frozenset(next(flags, "").partition(":")[2].split()),
        temporary_folder=Path(tempfile.gettempdir()),
    )


def check_machine(machine: Machine) -> Iterator[Finding]:
    """Whether one engine and one lane run well on `machine`."""
    yield judged(
        "python",
        ".".join(map(str, machine.python)),
        machine.python >= (3, 11),
        "install Python 3.11 and make the virtual environment with it: make PYTHON=python3.11",
    )
    yield judged(
        "cores",
        str(machine.cores),
        machine.cores >= _CORES,
        f"give the machine {_CORES} cores; with fewer, answers come seconds late",
    )
    yield judged(
        "memory",
        f"{machine.memory_gib:.1f} GiB available",
        machine.memory_gib >= _MEMORY_GIB,
        f"free {_MEMORY_GIB:.0f} GiB: engine, connector and pipeline take 1.8 together",
    )
    yield judged(
        "disk",
        f"{machine.disk_gib:.1f} GiB free",
        machine.disk_gib >= _DISK_GIB,
        f"free {_DISK_GIB:.0f} GiB for models, logs and call records",
    )
    if machine.architecture == "x86_64":
        fast = "avx2" in machine.cpu_flags
        yield judged(
            "cpu",
            "x86_64 with AVX2" if fast else "x86_64 without AVX2",
            fast,
            "expose AVX2 to this virtual machine (cpu type host); models run several times slower without",
            otherwise="advice",
        )
    else:
        yield judged(
            "cpu", machine.architecture, False, "use an x86_64 machine: the pjsua2 wheel is for it alone"
        )
    longest = len(str(machine.temporary_folder)) + _SOCKET_NAME_BYTES
    yield judged(
        "sockets",
        f"in {machine.temporary_folder}",
        longest <= _SOCKET_PATH_BYTES,
        "set TMPDIR to a shorter folder: a unix socket's path holds 107 bytes",
    )


def check_libraries(load: Callable[[str], object] = importlib.import_module) -> Iterator[Finding]:
    """Whether the libraries with native code load here."""
    broken = []
    for name in _LIBRARIES:
        try:
            load(name)
        except Exception as error:
            broken.append(f"{name} ({error})")
    found = f"cannot load {'; '.join(broken)}" if broken else f"{len(_LIBRARIES)} load"
    yield judged("libraries", found, not broken, "remove .venv and run `make setup` again")


def check_models(store: ModelStore) -> Iterator[Finding]:
    """Whether every starter model is complete, by size and sha256."""
    for name in store.names():
        faults = store.faults(name)
        found = "; ".join(f"{fault.path.name} {fault.problem}" for fault in faults) or "good"
        yield judged(f"model {name}", found, not faults, f"tellerline models take {name}")


def check_ports(home: Path, sip: SipSettings) -> Iterator[Finding]:
    """Whether the SIP port and the first RTP ports of lane 0 are free, unless our own stack has them."""
    if stack_state.is_running(home):
        uris = ", ".join(lane.sip_uri for lane in stack_state.read_state(home).lanes)
        yield Finding("ports", "good", f"a stack is up: {uris}")
        return
    rtp = range(sip.rtp_port_first, sip.rtp_port_first + sip.rtp_port_count)
    wanted = (
        ("UDP", socket.SOCK_DGRAM, sip.port),
        ("TCP", socket.SOCK_STREAM, sip.port),
        *(("UDP", socket.SOCK_DGRAM, port) for port in rtp),
    )
    taken = [(name, port) for name, kind, port in wanted if not ports.is_free(sip.bind_host, port, kind)]
    listed = ", ".join(f"{name} {port}" for name, port in taken[:5])
    found = f"{listed} taken" if taken else f"UDP and TCP {sip.port}, UDP {rtp[0]}-{rtp[-1]} free"
    suspect = taken[0][1] if taken else sip.port
    remedy = f"see who has it: ss -lntup 'sport = :{suspect}'; or tellerline up --sip-port, --rtp-port"
    # The embedded stack takes the next free SIP port by itself.
    yield judged("ports", found, not taken, remedy, otherwise="advice")


def check_devices(
    devices: Path = Path("/dev"), ask: Callable[[], str | None] | None = None
) -> Iterator[Finding]:
    """Which NVIDIA GPUs there are, and whether their driver answers."""
    nodes = sorted(node.name for node in devices.glob("nvidia[0-9]*"))
    names = (ask or _nvidia_smi)()
    if names:
        yield Finding("gpu", "good", names)
    elif nodes:
        remedy = "the device nodes are there and the driver is silent: reboot, or install the matching driver"
        yield Finding("gpu", "bad", f"{', '.join(nodes)}, nvidia-smi fails", remedy)
    else:
        yield Finding("gpu", "good", "none; the engine runs on the CPU")


@click.command()
@click.option("--home", type=click.Path(path_type=Path), default=stack_state.HOME, help="As given to `up`.")
@click.option(
    "--config-folder",
    type=click.Path(path_type=Path),
    default=host.FOLDER,
    show_default=True,
    help="Where an installed host has its daemons' settings; without any, the machine is looked at.",
)
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def doctor(home: Path, config_folder: Path, as_json: bool) -> None:
    """Checks an installed host: settings, models, units, lanes, certificates; elsewhere the machine.

    Exit status 1 when something is bad.
    """
    installed = any(config_folder.glob("*.yml"))
    findings = tuple(_examine_host(config_folder) if installed else _examine(home))
    good = all(finding.level != "bad" for finding in findings)
    if as_json:
        listed = [dataclasses.asdict(finding) for finding in findings]
        click.echo(json.dumps({"good": good, "findings": listed}, indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.level:>6}  {finding.check}: {finding.found}")
            if finding.remedy:
                click.echo(f"        do: {finding.remedy}")
    sys.exit(0 if good else 1)


def _examine(home: Path) -> Iterator[Finding]:
    yield from check_machine(this_machine(home))
    yield from check_libraries()
    try:
        yield from check_models(ModelStore(home / "models", manifest.load(stack.MANIFEST)))
    except ModelError as error:
        yield Finding("models", "bad", str(error), "run from a checkout or a release folder")
    yield from check_ports(home, SipSettings())
    yield from check_devices()


def _examine_host(folder: Path) -> Iterator[Finding]:
    # Imported when used: a checkout has none of it.
    from tellerline.cli import doctor_host

    yield from check_libraries()
    yield from doctor_host.check(folder)
    yield from check_devices()


def _nvidia_smi() -> str | None:
    command = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return "; ".join(answer.stdout.split("\n")[:-1]) if answer.returncode == 0 else None
