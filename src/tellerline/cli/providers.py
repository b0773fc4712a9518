"""`tellerline providers`: shows who recognises, answers and speaks, and switches it while calls run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click
import grpc
from google.protobuf.json_format import MessageToDict

from tellerline import bootstrap, stack_state
from tellerline.errors import ServiceUnavailable, SettingsError
from tellerline.rpc import conversation_pb2 as pb
from tellerline.rpc import conversation_pb2_grpc as rpc

_SECONDS = 3.0


def _order(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if value else ()


@click.command()
@click.option("--recognition", callback=_order, help="Who recognises: openai,local.")
@click.option("--language-model", callback=_order, help="Who answers: openai,local.")
@click.option("--synthesis", callback=_order, help="Who speaks: elevenlabs,local.")
@click.option("--socket", multiple=True, type=click.Path(path_type=Path), help="Pipeline socket of a lane.")
@click.option("--home", type=click.Path(path_type=Path), default=stack_state.HOME, help="The stack's folder.")
@click.option("--json", "as_json", is_flag=True, help="Prints one JSON document and nothing else.")
def providers(
    recognition: tuple[str, ...],
    language_model: tuple[str, ...],
    synthesis: tuple[str, ...],
    socket: tuple[Path, ...],
    home: Path,
    as_json: bool,
) -> None:
    """Shows the providers of every lane; with an order of one kind or more, switches to that first.

    An order names who is asked first, then who is asked where that one fails: --language-model openai,local.
    Turns that begin afterwards are served in the new order, until the pipeline starts again: what lasts is in
    its settings. Without --socket, the lanes of the stack that runs here.
    """
    orders = {"recognition": recognition, "language_model": language_model, "synthesis": synthesis}
    chosen = {kind: names for kind, names in orders.items() if names}
    sockets = socket or tuple(lane.pipeline_socket for lane in stack_state.read_state(home).lanes)
    replies = asyncio.run(_ask(sockets, chosen))
    if as_json:
        click.echo(json.dumps({str(path): _shown(reply) for path, reply in replies.items()}, indent=2))
        return
    for path, reply in replies.items():
        click.echo(f"{path.stem}:")
        for order in reply.orders:
            click.echo(f"  {order.kind + ':':<16}{', then '.join(order.providers)}")
            for state in reply.states:
                if state.kind == order.kind:
                    click.echo(f"    {state.provider:<14}{state.missing or f'breaker {state.breaker}'}")


async def _ask(
    sockets: tuple[Path, ...], orders: dict[str, tuple[str, ...]]
) -> dict[Path, pb.ProvidersReply]:
    return {path: await _ask_one(path, orders) for path in sockets}


async def _ask_one(path: Path, orders: dict[str, tuple[str, ...]]) -> pb.ProvidersReply:
    wanted = [pb.ProviderOrder(kind=kind, providers=names) for kind, names in orders.items()]
    async with bootstrap.channel(path) as channel:
        stub = rpc.ProvidersStub(channel)
        try:
            reply: pb.ProvidersReply = (
                await stub.Choose(pb.ChooseProvidersRequest(orders=wanted), timeout=_SECONDS)
                if wanted
                else await stub.Show(pb.ShowProvidersRequest(), timeout=_SECONDS)
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                raise SettingsError(f"{path}: {error.details()}") from error
            raise ServiceUnavailable(f"{path}: no answer ({error.code().name}); does it run?") from error
    return reply


def _shown(reply: pb.ProvidersReply) -> Any:
    return MessageToDict(reply, preserving_proto_field_name=True)
