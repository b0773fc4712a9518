"""Jinja filters of the role `pki`: what stands in a host's certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

_SIGNED = ("name", "request", "common_name", "dns", "addresses")


def names(certificates: Iterable[Mapping[str, Any]], host: str) -> list[dict[str, Any]]:
    """Entries of pki_certificates with the names peers check: `<daemon>.<host>`, and the host's own."""
    return [
        {
            **certificate,
            "common_name": f"{certificate['name']}.{host}",
            "dns": [host, *certificate.get("dns", ())],
        }
        for certificate in certificates
    ]


def requests(asked: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What `host_certificates` asks for, as `internal_authority` takes it."""
    return [{key: entry[key] for key in _SIGNED} for entry in asked]


def text_of(name: str, folder: str) -> str:
    """The certificate `name` in `folder` of the control node."""
    return (Path(folder) / f"{name}.pem").read_text(encoding="utf-8")


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by the names templates use."""
        return {
            "tellerline_certificate_names": names,
            "tellerline_requests": requests,
            "tellerline_file": text_of,
        }
