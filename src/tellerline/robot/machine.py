"""The machine under a measurement: what it is, how busy it was, and who kept it so."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from tellerline.robot import accounting

# A run is disturbed from outside when the hypervisor took more than this share of the machine …
_STEAL_SHARE = 0.02
# … or processes that neither robot nor stack started used more than this.
_FOREIGN_SHARE = 0.12
_PACKAGES = ("pipecat-ai", "faster-whisper", "ctranslate2", "llama-cpp-python", "piper-tts", "onnxruntime")


@dataclass(frozen=True)
class Use:
    """What happened on the machine during a run; shares are of all cores together."""

    seconds: float
    busy_share: float
    steal_share: float
    # Other than robot and stack; None where the stack's processes are not known.
    foreign_share: float | None
    robot_cpu_seconds: float
    load_1min: float

    @property
    def disturbed(self) -> str:
        """What disturbed the run, or nothing."""
        if self.steal_share > _STEAL_SHARE:
            return f"the hypervisor took {self.steal_share:.0%} of the machine"
        if self.foreign_share is not None and self.foreign_share > _FOREIGN_SHARE:
            return f"other processes used {self.foreign_share:.0%} of the machine"
        return ""

    @property
    def disturbance(self) -> float:
        """How much it was disturbed, to compare runs: 1 for each limit reached."""
        return self.steal_share / _STEAL_SHARE + (self.foreign_share or 0.0) / _FOREIGN_SHARE


class UseMeter:
    """Measures a span from `start` to `stop`.

    `stack_pids` and this process are the roots of what is ours: whatever descends from them, restarted
    daemons and the robot's own processes included, is no disturbance.
    """

    def __init__(self, stack_pids: Iterable[int]) -> None:
        self._stack_pids = tuple(stack_pids)

    def start(self) -> None:
        """Begins the span."""
        self._times = psutil.cpu_times()
        self._own = time.process_time()
        self._before = accounting.snapshot()

    def stop(self, robot_cpu_seconds: float) -> Use:
        """Ends the span. The robot's processes have gone by now and say themselves what they used."""
        now, before = psutil.cpu_times(), self._times
        total = max(1e-6, sum(now[:8]) - sum(before[:8]))
        idle = now.idle + now.iowait - before.idle - before.iowait
        steal = now.steal - before.steal
        foreign = None
        if self._stack_pids:
            ours = (os.getpid(), *self._stack_pids)
            foreign = accounting.foreign_seconds(self._before, accounting.snapshot(), ours) / total
        return Use(
            seconds=total / (os.cpu_count() or 1),
            busy_share=(total - idle - steal) / total,
            steal_share=steal / total,
            foreign_share=foreign,
            robot_cpu_seconds=robot_cpu_seconds + time.process_time() - self._own,
            load_1min=os.getloadavg()[0],
        )


def describe() -> dict[str, Any]:
    """CPU model, cores, memory, kernel, versions and revision of this run."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_mb": round(psutil.virtual_memory().total / 1e6),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("tellerline", *_PACKAGES)},
        "revision": _revision(),
    }


def use_as_dict(use: Use) -> dict[str, Any]:
    """For call.json and --json."""
    return {**asdict(use), "disturbed": use.disturbed}


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _revision() -> str:
    try:
        done = subprocess.run(
            ("git", "describe", "--always", "--dirty"),
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
    except OSError:
        return ""
    return done.stdout.strip()
