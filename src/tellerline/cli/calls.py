"""`tellerline calls`: who is on the line, and what became of a call."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import grpc
from cryptography import x509

from tellerline import host, settings
from tellerline.cli import addresses
from tellerline.errors import ServiceUnavailable
from tellerline.instances import Instances
from tellerline.rpc import session_pb2, session_pb2_grpc
from tellerline.settings import ServiceAddresses

_ASK_SECONDS = 5.0
_HERE = "/run/tellerline/session.sock"


@click.command()
@click.argument("call", required=False)
@addresses.of_service("session", f"unix:{_HERE}")
@click.option("--reference", is_flag=True, help="CALL is the reference an agent got, not a call id.")
@click.option("--config-folder", type=click.Path(path_type=Path), default=host.FOLDER, show_default=True)
@click.pass_context
def calls(
    context: click.Context,
    call: str | None,
    service: ServiceAddresses,
    reference: bool,
    config_folder: Path,
) -> None:
    """List the live calls; with CALL, tell all about one.

    On a data host its session service is asked, as itself: be root. On a host of lanes alone: its lanes.
    """
    if context.get_parameter_source("addresses") is click.core.ParameterSource.DEFAULT:
        own = config_folder / "session.yml"
        has_lanes = any(config_folder.glob("connector@*.yml"))
        if own.exists() and (os.access(own, os.R_OK) or not has_lanes):
            service = itself(settings.load(settings.SessionSettings, own))
        elif call is None and has_lanes and not Path(_HERE).exists():
            for line in _of_lanes(config_folder):
                click.echo(line)
            return
    if call is None:
        live = asyncio.run(_ask(service, "LiveCalls", session_pb2.LiveCallsRequest()))
        for line in _table(live.calls):
            click.echo(line)
        return
    by = {"reference": call} if reference else {"call_id": call}
    found = asyncio.run(_ask(service, "Summary", session_pb2.SummaryRequest(**by)))
    if not found.found:
        raise click.ClickException(f"no call {call}")
    for line in _told(found):
        click.echo(line)


async def _ask(service: ServiceAddresses, rpc: str, request: Any) -> Any:
    async with Instances(service, session_pb2_grpc.SessionStub) as instances:
        try:
            return await instances.call(rpc, request, within_seconds=_ASK_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise ServiceUnavailable(
                f"session at {', '.join(service.addresses)}: {error.code().name}: {error.details()}"
            ) from error


def itself(chosen: settings.SessionSettings) -> ServiceAddresses:
    """The session service with these settings, asked with its own certificate."""
    tls = chosen.tls
    if tls is not None:
        [name] = x509.load_pem_x509_certificate(tls.certificate.read_bytes()).subject.get_attributes_for_oid(
            x509.NameOID.COMMON_NAME
        )
        tls = tls.model_copy(update={"peers": (str(name.value),)})
    return ServiceAddresses(addresses=(chosen.listen,), tls=tls)


def _of_lanes(folder: Path) -> list[str]:
    """The live calls of this host's lanes, as its connectors tell them. Raises HostError."""
    lines = [f"{'CALL':<38} {'LANE':<10} {'SECONDS':>7} {'CODEC':<8} STATE"]
    for lane, answer in asyncio.run(host.ask_lanes(host.lanes(folder))).items():
        lines += [
            f"{one.call_id:<38} {lane:<10} {one.answered_seconds:>7} {one.codec:<8} {one.state}"
            + ("" if one.attached else ", without a pipeline")
            for one in answer.reply.calls
        ]
        if answer.trouble:
            lines.append(f"{'?':<38} {lane:<10} {answer.trouble}")
    return lines


def _table(live: Sequence[session_pb2.LiveConversation]) -> list[str]:
    now = time.time()
    lines = [f"{'CALL':<38} {'LANE':<10} {'SECONDS':>7} {'TURNS':>5} {'LANGUAGE':<8} PHASE"]
    for one in live:
        seconds = now - one.opened_unix_ms / 1000
        lines.append(
            f"{one.call_id:<38} {one.lane:<10} {seconds:>7.0f} {one.turns:>5} {one.language:<8} {one.phase}"
        )
    return lines


def _told(found: session_pb2.SummaryReply) -> list[str]:
    opened = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.opened_unix_ms / 1000))
    lines = [
        f"call      {found.call_id}",
        f"lane      {found.lane}",
        f"opened    {opened}",
        f"state     {found.state}" + (f" ({found.reason})" if found.reason else ""),
        f"language  {found.language}",
        f"turns     {found.turns}",
        f"intents   {', '.join(found.intents) or '-'}",
    ]
    if found.closed_unix_ms:
        lines.insert(3, f"lasted    {(found.closed_unix_ms - found.opened_unix_ms) / 1000:.0f} s")
    if found.handover_summary:
        lines += ["handed over:", f"  {found.handover_summary}"]
    for turn in found.last_turns:
        lines += [f"  caller  {turn.heard}", f"  bot     {turn.played}"]
    return lines
