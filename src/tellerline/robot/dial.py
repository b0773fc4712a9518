"""Starts robot processes and hands back their traces: the parent's side of process.py."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from tellerline.errors import SipError
from tellerline.robot.process import FRAME, CallPlan, Event, Job
from tellerline.robot.trace import CallTrace

CALLS_A_PROCESS = 4


def local_host(uri: str) -> str:
    """The address of this machine that reaches `uri`'s host. Raises SipError where none does."""
    address = uri.partition(":")[2].rpartition("@")[2].partition(";")[0].strip("<>")
    host, _, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # Connecting a datagram socket sends nothing; it only chooses the route.
            probe.connect((host, int(port or 5060)))
            return str(probe.getsockname()[0])
    except (OSError, ValueError) as error:
        raise SipError(f"sip: {uri!r} leads nowhere ({error}); give sip:user@host:port") from error


async def place(
    plans: Sequence[CallPlan],
    on_event: Callable[[Event], None] = lambda event: None,
    *,
    rtp_port: int = 0,
    codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    on_start: Callable[[int], None] = lambda pid: None,
) -> list[CallTrace]:
    """Places all calls, four a process, and returns their traces in the order of `plans`.

    Raises SipError when a process fails. Cancelling ends the processes.
    """
    groups = [plans[at : at + CALLS_A_PROCESS] for at in range(0, len(plans), CALLS_A_PROCESS)]

    async def run(index: int, group: Sequence[CallPlan]) -> list[CallTrace]:
        port = rtp_port + 2 * CALLS_A_PROCESS * index if rtp_port else 0
        job = Job(tuple(group), host=local_host(group[0].uri), rtp_port=port, codecs=codecs)
        return await _run(
            job, lambda event: on_event(replace(event, call=event.call + index * CALLS_A_PROCESS)), on_start
        )

    running = [asyncio.create_task(run(index, group)) for index, group in enumerate(groups)]
    try:
        return [trace for traces in await asyncio.gather(*running) for trace in traces]
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _run(
    job: Job, on_event: Callable[[Event], None], on_start: Callable[[int], None]
) -> list[CallTrace]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tellerline.robot.process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # Ctrl-C reaches the parent, which ends the calls' process itself.
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    on_start(process.pid)
    traces: list[CallTrace] = []
    try:
        process.stdin.write(pickle.dumps(job))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await process.stdin.drain()
        process.stdin.close()
        while True:
            try:
                (size,) = FRAME.unpack(await process.stdout.readexactly(FRAME.size))
                item = pickle.loads(await process.stdout.readexactly(size))
            except asyncio.IncompleteReadError:
                break
            if isinstance(item, Event):
                on_event(item)
            elif isinstance(item, CallTrace):
                traces.append(item)
            else:
                raise item
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        raise
    finally:
        await process.wait()
    if len(traces) != len(job.calls):
        raise SipError(
            "sip: the robot's process ended early; run `python -m tellerline.robot.process` to see why"
        )
    return traces
