"""The connection to a server of OpenAI's protocol, and how its refusals are told."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import httpx

from tellerline.errors import SettingsError
from tellerline.settings import OpenAISettings

_KEY_BYTES_MAX = 4096


def client(settings: OpenAISettings, patience_seconds: float) -> httpx.AsyncClient:
    """A client that opens nothing until it is asked. Raises SettingsError for a key that cannot be read.

    Neither proxies nor other settings are taken from the environment, and no redirect is followed: words go
    to the address of the settings, or nowhere.
    """
    # httpx logs each URL at INFO, httpcore each header at DEBUG: the key.
    for library in ("httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    return httpx.AsyncClient(
        base_url=settings.base_url,
        headers={"Authorization": f"Bearer {read_key(settings.key, 'providers.openai.key')}"},
        timeout=httpx.Timeout(patience_seconds, read=None),
        limits=httpx.Limits(max_connections=64, keepalive_expiry=60.0),
        verify=trust(settings.authority, "providers.openai.authority"),
        trust_env=False,
        follow_redirects=False,
    )


def read_key(path: Path, setting: str) -> str:
    """The key in a file. Raises SettingsError for a file without one."""
    try:
        key = path.read_bytes()[:_KEY_BYTES_MAX].decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{setting}: {path} cannot be read; give a file with the key") from error
    if not key or not key.isprintable() or " " in key:
        raise SettingsError(f"{setting}: {path} holds no key; give a file with the key and nothing else")
    return key


def trust(authority: Path | None, setting: str) -> ssl.SSLContext:
    """Which certificates are believed. Raises SettingsError."""
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{setting}: {authority} is no PEM file of an authority") from error


def why(error: Exception) -> str:
    """What happened, without a word of what was sent or answered."""
    return type(error).__name__
