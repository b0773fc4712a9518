"""Options that say where a service is, and how to be let in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tellerline.settings import ServiceAddresses, Tls

Command = Callable[..., Any]


def of_service(name: str, default: str) -> Callable[[Command], Command]:
    """`--NAME` (may be given several times) and the certificates, as the argument `service`."""

    def decorated(command: Command) -> Command:
        @click.option(
            f"--{name}",
            "addresses",
            multiple=True,
            default=(default,),
            show_default=True,
            help=f"Address of the {name} service; may be given several times.",
        )
        @click.option(
            "--tls-certificate", type=click.Path(path_type=Path), help="PEM; for addresses host:port."
        )
        @click.option("--tls-key", type=click.Path(path_type=Path))
        @click.option("--tls-authority", type=click.Path(path_type=Path))
        @click.option("--tls-peer", multiple=True, help="Name in the service's certificate.")
        @functools.wraps(command)
        def with_service(
            *values: Any,
            addresses: tuple[str, ...],
            tls_certificate: Path | None,
            tls_key: Path | None,
            tls_authority: Path | None,
            tls_peer: tuple[str, ...],
            **named: Any,
        ) -> Any:
            tls = None
            if tls_certificate and tls_key and tls_authority and tls_peer:
                tls = Tls(certificate=tls_certificate, key=tls_key, authority=tls_authority, peers=tls_peer)
            service = ServiceAddresses(addresses=addresses, tls=tls)
            return command(*values, service=service, **named)

        return with_service

    return decorated
