"""Writes the Grafana dashboards of roles/grafana/files/dashboards; run it again after a change here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[1] / "roles" / "grafana" / "files" / "dashboards"
_WIDTH, _HEIGHT = 8, 7
_COLUMNS = 24 // _WIDTH


@dataclass(frozen=True)
class Panel:
    """One graph: queries, each with its legend, and the unit of the axis as Grafana names it."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"


def graph(title: str, query: str, legend: str, unit: str = "short") -> Panel:
    """A graph of one query."""
    return Panel(title, ((query, legend),), unit)


def quantiles(title: str, metric: str, by: str = "") -> Panel:
    """Median, 95th and 99th percentile of a histogram of seconds."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return Panel(
        title,
        tuple(
            (
                f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))",
                f"p{p}{legend}",
            )
            for q, p in ((0.5, 50), (0.95, 95), (0.99, 99))
        ),
        "s",
    )


def rate(metric: str, by: str) -> str:
    """Per-minute rate of a counter by a label."""
    return f"60 * sum by ({by}) (rate({metric}[$__rate_interval]))"


DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "calls": (
        "Calls",
        (
            graph("Live calls", "sum by (host) (tellerline_connector_calls)", "{{host}}"),
            Panel(
                "Room for calls",
                (
                    ("sum(tellerline_engine_free_slots)", "free"),
                    ("sum(tellerline_engine_calls)", "taken"),
                ),
            ),
            graph("Lanes that take calls", "sum by (host) (tellerline_connector_ready)", "{{host}}"),
            graph(
                "Answered and refused, a minute",
                rate("tellerline_connector_invites_total", "status"),
                "{{status}}",
            ),
            graph(
                "How calls ended, a minute",
                rate("tellerline_connector_calls_ended_total", "reason"),
                "{{reason}}",
            ),
            quantiles("Caller's last sound to first answer", "tellerline_pipeline_response_seconds"),
            graph("Turns, a minute", rate("tellerline_pipeline_turns_total", "outcome"), "{{outcome}}"),
            graph(
                "Interruptions, a minute",
                rate("tellerline_pipeline_barge_ins_total", "outcome"),
                "{{outcome}}",
            ),
            graph(
                "Sentences replaced, a minute",
                rate("tellerline_pipeline_guarded_total", "guard"),
                "{{guard}}",
            ),
            graph(
                "Secrets on the keypad, a minute",
                rate("tellerline_connector_dark_inputs_total", "outcome"),
                "{{outcome}}",
            ),
            graph(
                "Holes in sentences, 20 ms each, a minute",
                rate("tellerline_connector_rtp_underruns_total", "lane"),
                "{{lane}}",
            ),
            graph(
                "Calls taken over, a minute",
                rate("tellerline_connector_reattached_total", "outcome"),
                "{{outcome}}",
            ),
        ),
    ),
    "engines": (
        "Engines",
        (
            quantiles("Where a turn's time goes", "tellerline_pipeline_stage_seconds", "stage"),
            quantiles("Model time", "tellerline_engine_stage_seconds", "stage"),
            quantiles("Waiting for a model", "tellerline_engine_queue_seconds", "stage"),
            graph("Calls an engine", "tellerline_engine_calls", "{{host}} {{unit}}"),
            graph(
                "Calls refused, a minute", rate("tellerline_engine_refusals_total", "reason"), "{{reason}}"
            ),
            graph("Errors, a minute", rate("tellerline_engine_errors_total", "stage"), "{{stage}}"),
            graph(
                "Answers thought in vain, a minute",
                rate("tellerline_pipeline_withdrawn_total", "host"),
                "{{host}}",
            ),
            graph("Noise, a minute", rate("tellerline_engine_not_speech_total", "host"), "{{host}}"),
            graph(
                "Providers, requests a minute",
                rate("tellerline_pipeline_provider_requests_total", "provider, outcome"),
                "{{provider}} {{outcome}}",
            ),
            graph("GPU busy", "tellerline_gpu_busy_ratio", "{{host}} {{gpu}}", "percentunit"),
            graph("GPU memory", "tellerline_gpu_memory_used_bytes", "{{host}} {{gpu}}", "bytes"),
            graph("GPU temperature", "tellerline_gpu_temperature_celsius", "{{host}} {{gpu}}", "celsius"),
        ),
    ),
    "records-and-bank": (
        "Records and the bank",
        (
            graph(
                "Requests to the bank, a minute",
                rate("tellerline_banking_bank_requests_total", "outcome"),
                "{{outcome}}",
            ),
            quantiles("Time the bank takes", "tellerline_banking_bank_seconds"),
            graph(
                "Operations, a minute",
                rate("tellerline_banking_operations_total", "operation, outcome"),
                "{{operation}} {{outcome}}",
            ),
            graph("PINs, a minute", rate("tellerline_banking_pins_total", "outcome"), "{{outcome}}"),
            Panel(
                "Closed, and orders in doubt",
                (
                    ("max by (host) (tellerline_banking_closed)", "closed {{host}}"),
                    ("max(tellerline_banking_orders_in_doubt)", "in doubt"),
                ),
            ),
            graph("Records that wait", "sum by (host) (tellerline_forwarding_waiting_records)", "{{host}}"),
            graph("Age of the oldest", "max by (host) (tellerline_forwarding_lag_seconds)", "{{host}}", "s"),
            graph(
                "Records stored, a minute", rate("tellerline_session_records_total", "outcome"), "{{outcome}}"
            ),
            quantiles("Time to keep a record", "tellerline_session_append_seconds"),
            graph("Events behind", "max(tellerline_session_outbox_lag_seconds)", "seconds", "s"),
            graph(
                "Audit entries, a minute", rate("tellerline_audit_entries_total", "service"), "{{service}}"
            ),
            graph("Audit events that wait", "sum by (host) (tellerline_banking_journal_events)", "{{host}}"),
        ),
    ),
    "hosts": (
        "Hosts",
        (
            graph(
                "Processors",
                'avg by (host, mode) (rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval]))',
                "{{host}} {{mode}}",
                "percentunit",
            ),
            graph("Memory left", "node_memory_MemAvailable_bytes", "{{host}}", "bytes"),
            graph(
                "Disk left",
                'node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs"}',
                "{{host}} {{mountpoint}}",
                "bytes",
            ),
            graph(
                "Network in",
                'rate(node_network_receive_bytes_total{device!="lo"}[$__rate_interval])',
                "{{host}} {{device}}",
                "Bps",
            ),
            graph("UDP thrown away", "rate(node_netstat_Udp_RcvbufErrors[$__rate_interval])", "{{host}}"),
            graph("Clock", "node_timex_offset_seconds", "{{host}}", "s"),
            graph("Units that failed", 'sum by (host) (node_systemd_unit_state{state="failed"})', "{{host}}"),
            graph(
                "Daemons that died, an hour",
                "sum by (host, name) (increase(node_systemd_service_restart_total[1h])) > 0",
                "{{host}} {{name}}",
            ),
            graph(
                "Days until a certificate ends",
                "min by (host) (tellerline_certificate_not_after_unix_seconds - time()) / 86400",
                "{{host}}",
            ),
            graph("Log that waits for the SIEM", "tellerline_siem_queue_bytes", "{{host}}", "bytes"),
            graph("Who holds the virtual address", "tellerline_virtual_address_held", "{{host}}"),
            graph("Alerts", 'count by (severity) (ALERTS{alertstate="firing"})', "{{severity}}"),
        ),
    ),
}


def panel(number: int, wanted: Panel) -> dict[str, Any]:
    """A panel as Grafana's JSON has it, three in a row."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number + 1,
        "type": wanted.kind,
        "title": wanted.title,
        "datasource": source,
        "gridPos": {
            "x": number % _COLUMNS * _WIDTH,
            "y": number // _COLUMNS * _HEIGHT,
            "w": _WIDTH,
            "h": _HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": wanted.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": source, "expr": query, "legendFormat": legend}
            for at, (query, legend) in enumerate(wanted.queries)
        ],
    }


def dashboard(name: str) -> str:
    """The JSON text of one dashboard."""
    title, panels = DASHBOARDS[name]
    whole = {
        "uid": f"tellerline-{name}",
        "title": f"Tellerline: {title}",
        "tags": ["tellerline"],
        "timezone": "browser",
        "schemaVersion": 37,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
            ]
        },
        "panels": [panel(number, wanted) for number, wanted in enumerate(panels)],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        (OUT / f"{name}.json").write_text(dashboard(name))
