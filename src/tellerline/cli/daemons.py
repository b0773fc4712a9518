"""`tellerline engine|pipeline|connector`: run one daemon, or check its configuration."""

from __future__ import annotations

import functools
import importlib
import logging
from pathlib import Path
from typing import Any

import click

from tellerline import bootstrap, settings
from tellerline.errors import SettingsError


def _daemon(name: str, kind: type[Any], module: str, does: str) -> click.Command:
    @click.command(name, help=f"{does} Give --config to run, --check-config to only check a file.")
    @click.option("--config", type=click.Path(path_type=Path), help="YAML settings of this daemon.")
    @click.option("--check-config", type=click.Path(path_type=Path), help="Check this file and exit.")
    def command(config: Path | None, check_config: Path | None) -> None:
        run(name, kind, module, config, check_config)

    return command


def run(name: str, kind: type[Any], module: str, config: Path | None, check_config: Path | None) -> None:
    """Serves what `module` serves with the settings in `config`, or only checks those in `check_config`."""
    if check_config is not None:
        settings.load(kind, check_config)
        click.echo(f"{check_config}: good")
        return
    if config is None:
        raise click.UsageError("give --config FILE, or --check-config FILE")
    loaded = settings.load(kind, config)
    server = importlib.import_module(module)
    reload = functools.partial(reread, kind, config, loaded)
    bootstrap.run(name, loaded.monitoring, lambda: server.serve(loaded), reload)


def reread(kind: type[Any], config: Path, running: Any) -> str:
    """What SIGHUP does: takes the log level from the file as it is now; says what else waits for a restart.

    The rest of a daemon's settings is what its calls were begun with. Certificates are read again anyway.
    """
    try:
        fresh = settings.load(kind, config)
    except SettingsError as error:
        return f"nothing taken, {error}"
    level = fresh.monitoring.log_level
    logging.getLogger().setLevel(level.upper())
    now = running.model_copy(
        update={"monitoring": running.monitoring.model_copy(update={"log_level": level})}
    )
    waiting = [key for key in kind.model_fields if getattr(now, key) != getattr(fresh, key)]
    rest = f"; a restart takes {', '.join(waiting)}" if waiting else ""
    return f"log level is {level}{rest}"


engine = _daemon(
    "engine", settings.EngineSettings, "tellerline.engine.server", "The models of one GPU, or the CPU."
)
pipeline = _daemon(
    "pipeline", settings.PipelineSettings, "tellerline.pipeline.server", "The conversation of a lane's calls."
)
connector = _daemon(
    "connector", settings.ConnectorSettings, "tellerline.connector.server", "SIP and RTP of a lane."
)
