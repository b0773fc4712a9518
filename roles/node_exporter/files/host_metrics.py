#!/usr/bin/python3
"""Writes what node exporter does not know of a host, for its textfile collector.

When certificates end, when periodic tasks last succeeded, how the GPUs are, whether this edge holds the
virtual address, how many bytes of log wait for the SIEM. Run by a timer on every host, with Debian's Python.
"""

from __future__ import annotations

import argparse
import datetime
import glob
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ASK_SECONDS = 10.0
_GPU_FIELDS = (
    "index",
    "temperature.gpu",
    "memory.used",
    "memory.total",
    "utilization.gpu",
    "ecc.errors.uncorrected.volatile.total",
)
_MEBIBYTE = 1 << 20
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
# Name → what it says; gauges all but those that end in _total.
HELP = {
    "tellerline_certificate_not_after_unix_seconds": "When a certificate ends.",
    "tellerline_task_succeeded_unix_seconds": "When a periodic task last left its file behind.",
    "tellerline_task_due_seconds": "How old that may become.",
    "tellerline_gpu_present": "1 when the driver sees the GPU.",
    "tellerline_gpu_temperature_celsius": "Temperature of the GPU.",
    "tellerline_gpu_memory_used_bytes": "Memory of the GPU in use.",
    "tellerline_gpu_memory_bytes": "Memory of the GPU.",
    "tellerline_gpu_busy_ratio": "How much of the time the GPU worked.",
    "tellerline_gpu_uncorrected_errors_total": "Memory errors of the GPU since its driver was loaded.",
    "tellerline_virtual_address_held": "1 when this edge holds the virtual address.",
    "tellerline_siem_connected": "1 while a connection to the SIEM is open.",
    "tellerline_siem_queue_bytes": "Log on disk for the SIEM; the last file stays when it is sent.",
}


@dataclass(frozen=True)
class Sample:
    """One line of the exposition format."""

    name: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)

    def line(self) -> str:
        """As Prometheus reads it."""
        inner = ",".join(
            f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in self.labels.items()
        )
        return f"{self.name}{{{inner}}} {self.value:.17g}" if inner else f"{self.name} {self.value:.17g}"


def certificates(patterns: Iterable[str]) -> Iterator[Sample]:
    """The end of each certificate; a file that is none is told as ended in 1970, so that somebody looks."""
    for path in sorted({path for pattern in patterns for path in glob.glob(pattern)}):
        asked = _run("openssl", "x509", "-noout", "-enddate", "-in", path)
        yield Sample("tellerline_certificate_not_after_unix_seconds", not_after(asked or ""), {"file": path})


def not_after(text: str) -> float:
    """Unix time out of `notAfter=Nov 23 07:29:45 2027 GMT`, as openssl writes it in the C locale; else 0."""
    _, _, when = text.strip().partition("notAfter=")
    try:
        at = datetime.datetime.strptime(when, "%b %d %H:%M:%S %Y %Z")
    except ValueError:
        return 0.0
    return at.replace(tzinfo=datetime.UTC).timestamp()


def tasks(wanted: dict[str, Any]) -> Iterator[Sample]:
    """The newest file of each task; a task that never ran on this host is not told."""
    for task, how in sorted(wanted.items()):
        times = [os.stat(path).st_mtime for path in glob.glob(how["file"])]
        if times:
            yield Sample("tellerline_task_succeeded_unix_seconds", max(times), {"task": task})
            yield Sample("tellerline_task_due_seconds", float(how["due_seconds"]), {"task": task})


def gpus(wanted: Iterable[str], told: str | None) -> Iterator[Sample]:
    """The GPUs this host should have, by what nvidia-smi said of them (None: it did not run)."""
    rows = [row.split(", ") for row in (told or "").splitlines()]
    seen = {row[0]: row for row in rows if len(row) == len(_GPU_FIELDS)}
    for gpu in wanted:
        labels = {"gpu": gpu}
        yield Sample("tellerline_gpu_present", float(gpu in seen), labels)
        if gpu not in seen:
            continue
        _, celsius, used, total, busy, errors = map(_number, seen[gpu])
        for name, value, factor in (
            ("tellerline_gpu_temperature_celsius", celsius, 1.0),
            ("tellerline_gpu_memory_used_bytes", used, _MEBIBYTE),
            ("tellerline_gpu_memory_bytes", total, _MEBIBYTE),
            ("tellerline_gpu_busy_ratio", busy, 0.01),
            ("tellerline_gpu_uncorrected_errors_total", errors, 1.0),
        ):
            # A consumer card has no error counter, and says [N/A].
            if value is not None:
                yield Sample(name, value * factor, labels)


def virtual_address(address: str, told: str | None) -> Iterator[Sample]:
    """Whether `address` is on an interface, by what `ip -json address` said."""
    if not address:
        return
    held = {
        one.get("local") for interface in json.loads(told or "[]") for one in interface.get("addr_info", [])
    }
    yield Sample("tellerline_virtual_address_held", float(address.partition("/")[0] in held))


def siem(port: int, pattern: str, tables: Iterable[Path]) -> Iterator[Sample]:
    """Whether the kernel's `tables` (proc(5), net/tcp) have a connection to `port`; bytes kept on disk.

    `port` 0: this site has no SIEM.
    """
    if port:
        rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
        ours = [row for row in rows if int(row[2].rpartition(":")[2], 16) == port and row[3] == _ESTABLISHED]
        yield Sample("tellerline_siem_connected", float(bool(ours)))
        yield Sample(
            "tellerline_siem_queue_bytes", float(sum(os.stat(path).st_size for path in glob.glob(pattern)))
        )


def collect(settings: dict[str, Any]) -> list[Sample]:
    """Everything `settings` ask for."""
    asked = ("nvidia-smi", f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader,nounits")
    wanted, address = settings["gpus"], settings["virtual_address"]
    return [
        *certificates(settings["certificates"]),
        *tasks(settings["tasks"]),
        *gpus(wanted, _run(*asked) if wanted else None),
        *virtual_address(address, _run("ip", "-json", "address") if address else None),
        *siem(settings["siem_port"], settings["siem_queue"], _TABLES),
    ]


def exposition(samples: Iterable[Sample]) -> str:
    """The text format of Prometheus, samples of one name together."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines = []
    for name, of_name in by_name.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [
            f"# HELP {name} {HELP[name]}",
            f"# TYPE {name} {kind}",
            *(sample.line() for sample in of_name),
        ]
    return "".join(f"{line}\n" for line in lines)


def write_whole(path: Path, text: str) -> None:
    """Replaces `path` in one step: node exporter reads it whenever it likes."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".tellerline-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(partial, 0o644)
    os.replace(partial, path)


def load(path: Path) -> dict[str, Any]:
    """The settings; raises ValueError in words an operator can act on."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    kinds = {
        "certificates": list,
        "tasks": dict,
        "gpus": list,
        "virtual_address": str,
        "siem_port": int,
        "siem_queue": str,
    }
    for key, kind in kinds.items():
        if not isinstance(settings.get(key), kind):
            raise ValueError(f"{path}: {key}: {settings.get(key)!r} must be a {kind.__name__}")
    for task, how in settings["tasks"].items():
        if not {"file", "due_seconds"} <= set(how):
            raise ValueError(f"{path}: tasks.{task}: give file and due_seconds")
    return dict(settings)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _run(*command: str) -> str | None:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        print(f"host_metrics: {command[0]}: {error}", file=sys.stderr)
        return None
    return done.stdout


def main() -> int:
    """Entry point: --config FILE --out FILE, or --check-config FILE."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("/etc/tellerline/host-metrics.json"))
    parser.add_argument("--out", type=Path, default=Path("/var/lib/prometheus/node-exporter/tellerline.prom"))
    parser.add_argument("--check-config", type=Path)
    given = parser.parse_args()
    try:
        settings = load(given.check_config or given.config)
    except (OSError, ValueError) as error:
        print(f"host_metrics: {error}", file=sys.stderr)
        return 2
    if given.check_config is None:
        write_whole(given.out, exposition(collect(settings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
