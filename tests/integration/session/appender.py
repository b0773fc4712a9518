"""One instance of a daemon that appends to the audit chain from several tasks at once; run as a process.

Arguments: conninfo, key file, service, tasks, entries a task. Every fifth transaction is rolled back.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psycopg

from tellerline import audit


class _ChangedMind(Exception):
    pass


async def _work(conninfo: str, chain: audit.Chain, task: int, entries: int) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        for number in range(entries):
            try:
                async with connection.transaction(), connection.cursor() as cursor:
                    detail = {"task": task, "number": number}
                    await chain.append(cursor, audit.Entry("thing_done", f"call-{task}", None, detail))
                    if number % 5 == 4:
                        raise _ChangedMind
            except _ChangedMind:
                pass


async def _main(conninfo: str, key_file: str, service: str, tasks: str, entries: str) -> None:
    chain = audit.Chain(audit.read_key(Path(key_file)), service)
    async with asyncio.TaskGroup() as group:
        for task in range(int(tasks)):
            group.create_task(_work(conninfo, chain, task, int(entries)))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
