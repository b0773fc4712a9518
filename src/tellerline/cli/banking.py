"""`tellerline banking`: run the daemon, or ask how its instances and the bank behind them are."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TypeAlias

import click
import grpc

from tellerline import settings
from tellerline.cli import addresses, daemons
from tellerline.instances import Instances
from tellerline.rpc import banking_pb2 as pb
from tellerline.rpc import banking_pb2_grpc
from tellerline.settings import ServiceAddresses

_ASK_SECONDS = 5.0

# What an instance said; None and why where it said nothing.
Answer: TypeAlias = tuple[pb.BankStatusReply | None, str]


@click.group(
    "banking",
    invoke_without_command=True,
    help="The bank's interfaces, authorised. Give --config to run, --check-config to only check a file.",
)
@click.option("--config", type=click.Path(path_type=Path), help="YAML settings of this daemon.")
@click.option("--check-config", type=click.Path(path_type=Path), help="Check this file and exit.")
@click.pass_context
def banking(context: click.Context, config: Path | None, check_config: Path | None) -> None:
    """The daemon, unless a sub-command follows."""
    if context.invoked_subcommand is None:
        daemons.run("banking", settings.BankingSettings, "tellerline.banking.server", config, check_config)


@banking.command()
@addresses.of_service("banking", "unix:/run/tellerline/banking.sock")
def status(service: ServiceAddresses) -> None:
    """Tell which instances answer, the state of their breakers, and how many orders are unsettled.

    Exits with 1 where an instance does not answer, a breaker is not closed, or money is.
    """
    answers = asyncio.run(_ask(service))
    for line in _told(answers):
        click.echo(line)
    sys.exit(0 if all(map(_well, answers.values())) else 1)


async def _ask(service: ServiceAddresses) -> dict[str, Answer]:
    asked = [_ask_one(service.model_copy(update={"addresses": (one,)})) for one in service.addresses]
    return dict(zip(service.addresses, await asyncio.gather(*asked), strict=True))


async def _ask_one(service: ServiceAddresses) -> Answer:
    async with Instances(service, banking_pb2_grpc.BankingStub) as instances:
        try:
            reply = await instances.call("Status", pb.BankStatusRequest(), within_seconds=_ASK_SECONDS)
        except grpc.aio.AioRpcError as error:
            return None, error.code().name
    assert isinstance(reply, pb.BankStatusReply)
    return reply, ""


def _well(answer: Answer) -> bool:
    reply, _ = answer
    return reply is not None and _serves(reply) and all(map(_serves, reply.instances))


def _serves(one: pb.BankStatusReply | pb.InstanceStatus) -> bool:
    return one.breaker == "closed" and not one.money_closed


def _told(answers: dict[str, Answer]) -> list[str]:
    lines = []
    for address, (reply, error) in answers.items():
        if reply is None:
            lines.append(f"{address}  does not answer ({error})")
        else:
            why = f": {reply.reason}" if reply.reason else ""
            lines.append(f"{address}  answers  {_state(reply)}{why}")
    # The others tell through Redis, all of them the same.
    replies = [reply for reply, _ in answers.values() if reply is not None]
    known = {one.instance: one for reply in replies for one in reply.instances}
    lines += [f"heard of in the last 10 s: {name}  {_state(one)}" for name, one in sorted(known.items())]
    unsettled = next((r.unsettled_orders for r in replies if r.HasField("unsettled_orders")), None)
    if replies:
        lines.append(f"unsettled orders: {'unknown' if unsettled is None else unsettled}")
    return lines


def _state(of: pb.BankStatusReply | pb.InstanceStatus) -> str:
    return f"breaker {of.breaker}  money {'closed' if of.money_closed else 'open'}"
