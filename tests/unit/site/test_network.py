"""Filters of the firewall: names become addresses, and what does not is found."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

Plugin = Callable[[str], ModuleType]


def test_names_are_replaced_by_what_the_inventory_says_of_them(plugin: Plugin) -> None:
    network = plugin("filter/tellerline_network")
    names = {"core.bank.example": ["10.20.0.5", "10.20.0.6"]}
    hosts = ["core.bank.example", "10.20.0.5", "10.0.0.0/8", "unknown.example"]
    found = network.resolved(hosts, names)
    assert found == ["10.20.0.5", "10.20.0.6", "10.0.0.0/8", "unknown.example"]
    assert network.unresolved(found) == ["unknown.example"]


def test_addresses_are_sorted_by_family(plugin: Plugin) -> None:
    network = plugin("filter/tellerline_network")
    assert network.families(["10.0.0.1", "fd00::1", "10.0.0.2"]) == {
        "ip": ["10.0.0.1", "10.0.0.2"],
        "ip6": ["fd00::1"],
    }
    assert network.families([]) == {}


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://core.bank.example/tellerline/v1", ["core.bank.example"], 443),
        ("http://127.0.0.1:8070/tellerline/v1", ["127.0.0.1"], 8070),
        ("rediss://192.0.2.31:6380/0", ["192.0.2.31"], 6380),
        ("rediss://redis.bank.example/0", ["redis.bank.example"], 6379),
        ("unix:///run/redis/redis.sock", [], 443),
        ("", [], 443),
    ],
)
def test_where_a_url_leads(plugin: Plugin, url: str, host: list[str], port: int) -> None:
    network = plugin("filter/tellerline_network")
    assert (network.host_of(url), network.port_of(url)) == (host, port)


@pytest.mark.parametrize(
    ("options", "ports"),
    [
        ("", ["5432"]),
        ("connect_timeout=3", ["5432"]),
        ("port=6432 sslmode=verify-full", ["6432"]),
        ("sslmode=verify-full port='6432'", ["6432"]),
        ("port=5432,6432", ["5432", "6432"]),
        ("sslcrlport=1", ["5432"]),
    ],
)
def test_the_firewall_lets_out_to_the_port_that_libpq_is_given(
    plugin: Plugin, options: str, ports: list[str]
) -> None:
    assert plugin("filter/tellerline_network").database_ports(options) == ports
