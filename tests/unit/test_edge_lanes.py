"""The load balancer's ids of lanes: calls are counted by them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

_PLUGINS = Path(__file__).resolve().parents[2] / "plugins" / "filter"


def _plugin(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, _PLUGINS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


edge, site = _plugin("tellerline_edge"), _plugin("tellerline")


def _host(address: str, gpus: list[int], lanes: int) -> dict[str, object]:
    return {"tellerline_address": address, "tellerline_host_lanes": site.lanes(gpus, lanes)}


def test_every_lane_of_a_full_site_has_an_id_of_its_own_that_fits() -> None:
    hostvars = {f"gpu{n}": _host(f"10.1.{n // 200}.{n % 200 + 1}", list(range(15)), 16) for n in range(400)}
    found = edge.edge_lanes(hostvars, hostvars)
    ids = {lane["id"] for lane in found}
    assert len(ids) == len(found) == 400 * 15 * 16
    assert min(ids) > 0 and max(ids) < 2**31


def test_a_lane_keeps_its_id_when_hosts_come_and_go() -> None:
    one, two, three = (_host(f"192.0.2.{n}", [0], 2) for n in (21, 22, 23))
    before = edge.edge_lanes({"gpu1": one, "gpu2": two}, ["gpu1", "gpu2"])
    after = edge.edge_lanes({"gpu0": three, "gpu2": two}, ["gpu0", "gpu2"])
    assert [lane for lane in before if lane["host"] == "gpu2"] == [
        lane for lane in after if lane["host"] == "gpu2"
    ]


@pytest.mark.parametrize(
    ("gpus", "ports"), [([0], [5070, 5071]), ([1], [5086, 5087]), (["cpu"], [5070, 5071])]
)
def test_lanes_are_where_they_listen(gpus: list[int], ports: list[int]) -> None:
    found = edge.edge_lanes({"gpu1": _host("192.0.2.21", gpus, 2)}, ["gpu1"])
    assert [(lane["address"], lane["port"]) for lane in found] == [("192.0.2.21", port) for port in ports]
