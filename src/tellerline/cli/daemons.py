"""`tellerline engine|pipeline|connector`: run one daemon, or check its configuration."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from tellerline import bootstrap, settings


def _daemon(name: str, kind: type[Any], module: str, does: str) -> click.Command:
    @click.command(name, help=f"{does} Give --config to run, --check-config to only check a file.")
    @click.option("--config", type=click.Path(path_type=Path), help="YAML settings of this daemon.")
    @click.option("--check-config", type=click.Path(path_type=Path), help="Check this file and exit.")
    def command(config: Path | None, check_config: Path | None) -> None:
        if check_config is not None:
            settings.load(kind, check_config)
            click.echo(f"{check_config}: good")
            return
        if config is None:
            raise click.UsageError("give --config FILE, or --check-config FILE")
        loaded = settings.load(kind, config)
        server = importlib.import_module(module)
        bootstrap.run(name, loaded.monitoring, lambda: server.serve(loaded))

    return command


engine = _daemon(
    "engine", settings.EngineSettings, "tellerline.engine.server", "The models of one GPU, or the CPU."
)
pipeline = _daemon(
    "pipeline", settings.PipelineSettings, "tellerline.pipeline.server", "The conversation of a lane's calls."
)
connector = _daemon(
    "connector", settings.ConnectorSettings, "tellerline.connector.server", "SIP and RTP of a lane."
)
