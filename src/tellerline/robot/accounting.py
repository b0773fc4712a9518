"""Whose CPU time it was: ours and our children's, the kernel's, or somebody else's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
# task_struct.flags of a kernel thread (PF_KTHREAD, linux/sched.h).
_KERNEL_THREAD = 0x00200000


@dataclass(frozen=True)
class Process:
    """One line of /proc/<pid>/stat (proc(5)); times are in clock ticks."""

    pid: int
    parent: int
    kernel: bool
    started: int
    # User and system time of the process itself, and of the children it has waited for.
    own_ticks: int
    reaped_ticks: int

    @property
    def key(self) -> tuple[int, int]:
        """What no other process shares: process ids are given again."""
        return self.pid, self.started


Snapshot = Mapping[tuple[int, int], Process]


def parse(stat: str) -> Process:
    """`stat` is the text of /proc/<pid>/stat; a command's name may hold blanks and brackets."""
    head, _, tail = stat.rpartition(")")
    # fields[0] is the third field of proc(5), the state.
    fields = tail.split()
    user, system, reaped_user, reaped_system = (int(field) for field in fields[11:15])
    return Process(
        pid=int(head.split(" ", 1)[0]),
        parent=int(fields[1]),
        kernel=bool(int(fields[6]) & _KERNEL_THREAD),
        started=int(fields[19]),
        own_ticks=user + system,
        reaped_ticks=reaped_user + reaped_system,
    )


def snapshot() -> Snapshot:
    """Every process this one may see, at this moment."""
    found: dict[tuple[int, int], Process] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            process = parse((folder / "stat").read_text(encoding="utf-8", errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[process.key] = process
    return found


def family(processes: Snapshot, roots: Iterable[int]) -> set[tuple[int, int]]:
    """The keys of the processes `roots` and of all that descend from them."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    wanted = set(roots)
    left = [process for process in processes.values() if process.pid in wanted]
    found: set[tuple[int, int]] = set()
    while left:
        process = left.pop()
        if process.key not in found:
            found.add(process.key)
            left += children.get(process.pid, [])
    return found


def foreign_seconds(before: Snapshot, after: Snapshot, roots: Iterable[int]) -> float:
    """CPU seconds between two snapshots of processes that do not descend from `roots`.

    Kernel threads are nobody's. What lived and died between the snapshots is in the reaped time of
    whoever waited for it: ours in ours, a stranger's in the stranger's.
    """
    roots = tuple(roots)
    ours = family(before, roots) | family(after, roots)
    then = {key: one for key, one in before.items() if key not in ours and not one.kernel}
    now = {key: one for key, one in after.items() if key not in ours and not one.kernel}
    own = sum(one.own_ticks - (then[key].own_ticks if key in then else 0) for key, one in now.items())
    reaped = sum(
        one.reaped_ticks - (then[key].reaped_ticks if key in then else 0) for key, one in now.items()
    )
    # A stranger that ended hands on its whole life's time, of which this was before the span.
    earlier = sum(one.own_ticks + one.reaped_ticks for key, one in then.items() if key not in now)
    return (own + max(0, reaped - earlier)) / _TICKS_A_SECOND
