#!/usr/bin/python3
"""tellerline-support: one file of what support wants to see of this host, with nothing of a caller in it.

Everything it takes is a command of the list below: no settings, no databases, no recordings, no SIP traces
unless asked for. What it takes holds no words of a call and no secrets by design; every line is masked all
the same, since one day somebody's library prints what it should not. Runs with Debian's Python alone.
"""

from __future__ import annotations

import argparse
import datetime
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

SECONDS = 180.0
# The end of it counts.
MOST = 20 << 20
SIP_TRACE = Path("/var/log/private/tellerline-sip-trace/sip.log")
UNITS = (
    "tellerline-*",
    "opensips",
    "rtpengine-daemon",
    "keepalived",
    "redis-server",
    "rsyslog",
    "chrony",
    "nftables",
    "prometheus*",
)
# File in the bundle → command. PostgreSQL's log is not among them: it quotes rows that were refused.
COMMANDS: dict[str, Sequence[str]] = {
    "host.txt": ("uname", "-a"),
    "debian.txt": ("cat", "/etc/os-release"),
    "uptime.txt": ("uptime",),
    "release.txt": ("readlink", "/opt/tellerline/current", "/opt/tellerline/previous"),
    "packages.txt": (
        "dpkg-query",
        "--show",
        "opensips*",
        "rtpengine*",
        "postgresql-15",
        "redis-server",
        "keepalived",
    ),
    "status.txt": ("tellerline", "status", "--json"),
    "doctor.txt": ("tellerline", "doctor", "--json"),
    "edge.txt": ("tellerline-edge", "status", "--json"),
    "sound.txt": ("tellerline-edge", "sound"),
    "units.txt": ("systemctl", "list-units", "--all", "--no-pager", "--plain", *UNITS, "postgresql*"),
    "failed.txt": ("systemctl", "list-units", "--failed", "--no-pager", "--plain"),
    "timers.txt": ("systemctl", "list-timers", "--all", "--no-pager", "tellerline-*"),
    "starts.txt": (
        "systemctl",
        "show",
        "--property=Id,ActiveState,SubState,Result,NRestarts,ActiveEnterTimestamp,StatusText",
        "tellerline-*",
        "opensips",
        "rtpengine-daemon",
    ),
    "disks.txt": ("df", "-h"),
    "inodes.txt": ("df", "-i", "-h"),
    "memory.txt": ("free", "-h"),
    "processes.txt": ("ps", "-eo", "pid,user,pcpu,pmem,rss,nlwp,etime,comm", "--sort=-pcpu"),
    "pressure.txt": ("cat", "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io"),
    "addresses.txt": ("ip", "-brief", "address"),
    "listening.txt": ("ss", "-lntup"),
    "clock.txt": ("chronyc", "tracking"),
    "gpus.txt": ("nvidia-smi",),
    "alerts.txt": ("amtool", "--alertmanager.url=http://127.0.0.1:9093", "alert", "query"),
}

# Lines from the first to the last are withheld: keys as files have them.
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]*(PRIVATE KEY|MESSAGE)")
_KEY_ENDS = re.compile(r"-----END ")
_MASKS = (
    (re.compile(r"://[^/\s:@]+:[^/\s@]+@"), "://[masked]@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 [masked]"),
    (
        re.compile(
            r"(?i)([\"']?(?:[\w-]*(?:password|passwd|passphrase|secret|token|authorization|api[_-]?key|pin))[\"']?\s*[=:]\s*)"
            r"(?!\s*[\"']?/)(\"[^\"]*\"|'[^']*'|[^\s,;}]+)"
        ),
        r"\1[masked]",
    ),
    (re.compile(r"(?i)\binline:\S+"), "inline:[masked]"),
    # Who is called, and who calls: the last two digits tell two calls apart.
    (re.compile(r"(?i)\b(sips?|tel):[^@\s;>\"]*?(\d{2})(?=[@;>\s\"])"), r"\1:***\2"),
    (re.compile(r"(?i)\b(sips?|tel):[^@\s;>*\"]+(?=@)"), r"\1:***"),
    (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"), "[masked]"),
    # Cards and accounts in groups: more digits in a row than a date and a time have.
    (re.compile(r"(?<![\w.:-])(?:\d[ -]?){12,18}\d(?![\w.:])"), "[masked]"),
    # Telephone and customer numbers; ids of calls and addresses have other neighbours.
    (re.compile(r"(?<![\w.:/-])\+?\d{5,}(\d{2})(?![\w.:-])"), r"***\1"),
)


def masked(text: str) -> str:
    """`text` without secrets and numbers of people, should there be any."""
    lines, withheld = [], False
    for line in text.splitlines():
        if _KEY_BEGINS.search(line):
            withheld = True
            lines.append("[masked]")
        if not withheld:
            for pattern, put in _MASKS:
                line = pattern.sub(put, line)
            lines.append(line)
        if withheld and _KEY_ENDS.search(line):
            withheld = False
    return "\n".join(lines) + "\n"


def said(command: Sequence[str], seconds: float = SECONDS) -> str:
    """What a command says, its end where that is long; why it said nothing, where it did not."""
    with tempfile.TemporaryFile() as out:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=seconds
            )
            ended = f"[exit status {done.returncode}]\n" if done.returncode else ""
        except OSError as error:
            return f"[{command[0]}: {error.strerror}]\n"
        except subprocess.TimeoutExpired:
            ended = f"[no end within {seconds:.0f} s]\n"
        size = out.tell()
        out.seek(max(0, size - MOST))
        text = out.read().decode("utf-8", "replace")
    cut = f"[the first {size - MOST} bytes are left out]\n" if size > MOST else ""
    return cut + text + ended


def wanted(since: str, until: str, sip: bool) -> dict[str, Sequence[str]]:
    """The commands for this time; those this host has not are left out."""
    when = ["--since", since, *(["--until", until] if until else [])]
    journal = ["journalctl", "--no-pager", "--quiet", "--utc", "--output=short-iso", "--no-hostname", *when]
    commands = dict(COMMANDS)
    commands["journal.txt"] = [*journal, *(f"--unit={unit}" for unit in UNITS)]
    commands["kernel.txt"] = [*journal, "--dmesg", "--priority=warning"]
    if sip and SIP_TRACE.exists():
        commands["sip.txt"] = ["tail", "--bytes=4M", str(SIP_TRACE)]
    return {name: command for name, command in commands.items() if shutil.which(command[0])}


def collect(folder: Path, commands: dict[str, Sequence[str]], now: datetime.datetime) -> Path:
    """Writes the file of what these commands say, and gives its path back. Nobody but root may read it."""
    name = f"tellerline-support-{socket.gethostname().split('.')[0]}-{now:%Y%m%dT%H%M%SZ}"
    path = folder / f"{name}.tar.gz"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as bundle:
        for member, command in commands.items():
            text = masked(f"$ {' '.join(command)}\n{said(command)}").encode()
            entry = tarfile.TarInfo(f"{name}/{member}")
            entry.size, entry.mtime, entry.mode = len(text), int(now.timestamp()), 0o600
            bundle.addfile(entry, io.BytesIO(text))
    return path


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="tellerline-support", description="What to send to support, of this host."
    )
    parser.add_argument(
        "--since", default="1 hour ago", help="as journalctl takes it; times are UTC with 'UTC' behind"
    )
    parser.add_argument("--until", default="", help="likewise; without it, now")
    parser.add_argument("--sip", action="store_true", help="the end of the masked SIP trace as well (edges)")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the file is put")
    given = parser.parse_args()
    if os.geteuid() != 0:
        print("tellerline-support: be root: journals and sockets are not for everybody", file=sys.stderr)
        return 1
    now = datetime.datetime.now(datetime.UTC)
    try:
        print(collect(given.folder, wanted(given.since, given.until, given.sip), now))
    except OSError as error:
        print(f"tellerline-support: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
