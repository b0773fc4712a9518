"""A running embedded stack as others find it: the state file it keeps in its home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pydantic

from tellerline.errors import StackError

_ROOT = Path(__file__).resolve().parents[2]
# A checkout keeps everything it makes in its own var/; elsewhere the working folder does.
HOME = (_ROOT if (_ROOT / "pyproject.toml").exists() else Path.cwd()) / "var"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Lane:
    """Where one lane of a running stack is found."""

    name: str
    sip_uri: str
    pipeline_socket: Path
    control_socket: Path
    spool: Path
    connector_pid: int | None = None
    pipeline_pid: int | None = None


@dataclass(frozen=True)
class State:
    """A running stack, as its state file tells. The engine's fields are None for an echo stack."""

    pid: int
    # Tells that process from a later one of the same number (`life`).
    life: str
    engine_socket: Path | None
    engine_pid: int | None
    lanes: tuple[Lane, ...]
    log_folder: Path


def state_file(home: Path = HOME) -> Path:
    """Where the stack kept in `home` says what runs."""
    return home / "run" / "stack.json"


def read_state(home: Path = HOME) -> State:
    """The stack that runs out of `home`. Raises StackError when none does."""
    path = state_file(home)
    try:
        state = pydantic.TypeAdapter(State).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StackError(f"no stack runs here (no {path}); start one with `tellerline up`") from error
    if life(state.pid) != state.life:
        raise StackError(f"no stack runs here ({path} was left behind); start one with `tellerline up`")
    return state


def dialled(sip_uri: str, number: str) -> str:
    """`sip_uri` with `number` as the user that is called."""
    return f"sip:{number}@{sip_uri.rpartition('@')[2]}"


def life(pid: int) -> str | None:
    """Which of all processes that ever have the number `pid` runs now; None when none does.

    The boot and the clock tick of its start (proc(5)): a time of day would move with the clock.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold spaces; the start is the 22nd field, the 20th behind it.
    state, *fields = stat.rpartition(")")[2].split()
    # A zombie runs nothing, and nobody can stop it.
    return None if state in "ZX" else f"{_BOOT_ID.read_text().strip()} {fields[18]}"


def is_running(home: Path = HOME) -> bool:
    """Whether a stack runs out of `home`."""
    try:
        read_state(home)
    except StackError:
        return False
    return True
