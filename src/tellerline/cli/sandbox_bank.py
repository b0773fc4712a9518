"""`tellerline sandbox-bank`: a bank with made-up customers, for trying things and for demonstrations."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click


@click.command("sandbox-bank")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default="a free one", help="Port to listen on.")
@click.option("--latency-ms", default=0, show_default=True, help="Time every answer takes.")
@click.option("--token", type=click.Path(path_type=Path), help="File with the bearer token to ask for.")
def sandbox_bank(host: str, port: int, latency_ms: int, token: Path | None) -> None:
    """Serve docs/bank-api.yaml with made-up customers. Prints its base_url when it listens.

    Switch faults on and off below /sandbox (docs/integration.md).
    """
    import uvloop

    from tellerline.sandbox_bank import app, seed, server

    logging.basicConfig(
        stream=sys.stderr, format="%(asctime)s %(levelname)s sandbox-bank %(name)s %(message)s"
    )
    secret = token.read_text(encoding="ascii").strip() if token else None

    async def main() -> None:
        bank = app.SandboxBank(seed.load(), latency_ms=latency_ms, token=secret)
        with server.listening(host, port) as sock:
            click.echo(server.base_url(sock))
            sys.stdout.flush()
            await server.serve(bank, sock)

    uvloop.run(main())
