"""Engines and lanes of a host, and their ports."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Plugin = Callable[[str], ModuleType]


@pytest.fixture
def filters(plugin: Plugin) -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = plugin("filter/tellerline").FilterModule().filters()
    return found


def test_a_lane_of_the_second_gpu(filters: dict[str, Callable[..., Any]]) -> None:
    lane = filters["tellerline_lanes"]([0, 1], 2)[3]
    assert lane == {
        "name": "1-1",
        "gpu": "1",
        "lane": 1,
        "number": 17,
        "sip_port": 5087,
        "rtp_first": 20680,
        "rtp_last": 20719,
        "connector_metrics_port": 9517,
        "pipeline_metrics_port": 9617,
        "pipeline_socket": "/run/tellerline/pipeline@1-1/grpc.sock",
        "control_socket": "/run/tellerline/connector@1-1/control.sock",
    }


def test_processors_stand_where_the_first_gpu_would(filters: dict[str, Callable[..., Any]]) -> None:
    cpu, gpu = filters["tellerline_lanes"](["cpu"], 1)[0], filters["tellerline_lanes"]([0], 1)[0]
    assert cpu["name"] == "cpu-0"
    assert cpu["sip_port"] == gpu["sip_port"]
    assert filters["tellerline_engines"](["cpu"])[0]["socket"] == "/run/tellerline/engine@cpu/grpc.sock"


def test_no_two_lanes_share_a_port_and_none_meets_the_media_relay(
    filters: dict[str, Callable[..., Any]],
) -> None:
    lanes = filters["tellerline_lanes"](range(15), 16)
    assert len({lane["sip_port"] for lane in lanes}) == len(lanes)
    ranges = sorted((lane["rtp_first"], lane["rtp_last"]) for lane in lanes)
    assert all(left[1] < right[0] for left, right in itertools.pairwise(ranges))
    assert ranges[-1][1] < 30000


def test_passwords_are_long_and_differ(filters: dict[str, Callable[..., Any]]) -> None:
    made = filters["tellerline_passwords"](["a", "b"])
    assert len(made["a"]) == 40
    assert made["a"] != made["b"]
