"""docs/network.md names every port the firewall opens, and every service the daemons have."""

from __future__ import annotations

import re

import prometheus
import yaml

PAGE = (prometheus.ROOT / "docs" / "network.md").read_text(encoding="utf-8")
TABLE = prometheus.ROOT / "roles" / "nftables" / "vars" / "main.yml"


def flows() -> list[dict[str, object]]:
    found = yaml.safe_load(TABLE.read_text(encoding="utf-8"))["nftables_flows"]
    assert isinstance(found, list)
    return found


def numbers(text: str) -> set[tuple[int, int]]:
    """Every port and range of ports a text has: 7443 is (7443, 7443)."""
    return {
        (int(first), int(last or first))
        for first, last in re.findall(r"(?<![\d.])(\d{2,5})(?:-(\d{2,5}))?(?![\d.]*\d)", text)
    }


def test_every_port_of_the_firewall_is_on_the_page() -> None:
    on_page = numbers(PAGE)
    # Ranges of the firewall begin where the page's formulas do: "5070 + n".
    starts = {first for first, _ in on_page}
    missing = {
        (flow["name"], port)
        for flow in flows()
        for port in (flow["ports"] if isinstance(flow["ports"], list) else [])
        if re.fullmatch(r"[\d-]+", str(port))
        and numbers(str(port)).isdisjoint(on_page)
        and int(str(port).partition("-")[0]) not in starts
    }
    assert missing == set()


def test_every_group_the_firewall_speaks_of_is_on_the_page() -> None:
    missing = {flow[end] for flow in flows() for end in ("from", "to")} - set(re.findall(r"\w+", PAGE))
    # Named lists of addresses, by the word the page has for them.
    words = {
        "all": "every host",
        "operators": "tellerline_operators",
        "dns": "tellerline_dns_servers",
        "ntp": "tellerline_ntp_servers",
        "siem": "rsyslog_siem_host",
        "trunk_media": "the trunks' media",
        "border_controllers": "border controllers",
        "databases": "the bank's PostgreSQL",
        "redis_servers": "the bank's PostgreSQL and Redis",
        "providers": "tellerline_provider_servers",
        "vrrp_group": "224.0.0.18",
        "alarm_receivers": "alertmanager_webhook_url",
    }
    assert {name for name in missing if words.get(str(name), "?") not in PAGE} == set()


def test_a_port_nobody_wrote_down_is_found() -> None:
    assert (4711, 4711) not in numbers(PAGE)
    assert numbers("on 5061, 30000-39999 and 9400 + GPU; 224.0.0.18, 127.0.0.1:2223") >= {
        (5061, 5061),
        (30000, 39999),
        (9400, 9400),
    }
