"""Jinja filters of the roles: which engines and lanes a host has, with their ports; passwords."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Iterable
from typing import Any

# An engine's lanes are numbered 0 to 15, so that no two of a host share a port.
LANES = 16
RTP_PORTS = 40
_LETTERS = string.ascii_letters + string.digits


def engines(gpus: Iterable[str | int]) -> list[dict[str, Any]]:
    """The engines of a host with these GPUs (indices, or "cpu")."""
    return [
        {
            "gpu": str(gpu),
            "metrics_port": 9400 + _index(gpu),
            "socket": f"/run/tellerline/engine@{gpu}/grpc.sock",
        }
        for gpu in gpus
    ]


def lanes(gpus: Iterable[str | int], count: int) -> list[dict[str, Any]]:
    """The lanes of a host with these GPUs, `count` each."""
    return [_lane(str(gpu), lane) for gpu in gpus for lane in range(int(count))]


def passwords(names: Iterable[str]) -> dict[str, str]:
    """A fresh password for each of `names`, of letters and digits, which nobody has to quote."""
    return {name: "".join(secrets.choice(_LETTERS) for _ in range(40)) for name in names}


def _lane(gpu: str, lane: int) -> dict[str, Any]:
    number = _index(gpu) * LANES + lane
    name = f"{gpu}-{lane}"
    first = 20000 + number * RTP_PORTS
    return {
        "name": name,
        "gpu": gpu,
        "lane": lane,
        "number": number,
        "sip_port": 5070 + number,
        "rtp_first": first,
        "rtp_last": first + RTP_PORTS - 1,
        "connector_metrics_port": 9500 + number,
        "pipeline_metrics_port": 9600 + number,
        "pipeline_socket": f"/run/tellerline/pipeline@{name}/grpc.sock",
        "control_socket": f"/run/tellerline/connector@{name}/control.sock",
    }


def _index(gpu: str | int) -> int:
    # A host without GPUs has one engine, in the place of the first.
    return 0 if gpu == "cpu" else int(gpu)


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by the names templates use."""
        return {
            "tellerline_engines": engines,
            "tellerline_lanes": lanes,
            "tellerline_passwords": passwords,
        }
