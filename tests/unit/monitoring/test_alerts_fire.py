"""What fires when, by Prometheus' own evaluation of the rules over made-up series, fifteen seconds apart."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import prometheus
import yaml

_STEP_SECONDS = 15
# Prometheus evaluates every 15 s; every minute is a quarter of the work.
_EVALUATED = "1m"
_HOUR = 3600 // _STEP_SECONDS
# A phone that answers, unless a case says otherwise.
_WELL = {'tellerline_connector_ready{host="gpu1",lane="0-0"}': f"1x{10 * _HOUR}"}


@dataclass(frozen=True)
class Case:
    """Series with their values in promtool's notation; what fires at a time, and nothing else does."""

    at: str
    series: dict[str, str]
    fires: dict[str, int] = field(default_factory=dict)
    well: bool = True


CASES = {
    "a phone that answers": Case("1h", {}),
    "no lane takes calls": Case(
        "5m",
        {'tellerline_connector_ready{host="gpu1",lane="0-0"}': "1x8 0x20"},
        {"PhoneUnanswered": 1},
        well=False,
    ),
    "no lane has ever been heard of": Case("5m", {}, {"PhoneUnanswered": 1}, well=False),
    "one lane of two is drained for ten minutes": Case(
        "20m", {'tellerline_connector_ready{host="gpu1",lane="0-1"}': "0x100"}, {"LaneNotReady": 1}
    ),
    "one lane of two is drained for five": Case(
        "5m", {'tellerline_connector_ready{host="gpu1",lane="0-1"}': "0x100"}
    ),
    "every engine is full": Case(
        "5m",
        {
            'tellerline_engine_free_slots{host="gpu1"}': "0x100",
            'tellerline_engine_calls{host="gpu1"}': "8x100",
        },
        {"NoRoomForCalls": 1},
    ),
    "one engine of two is full": Case(
        "5m",
        {
            'tellerline_engine_free_slots{host="gpu1"}': "0x100",
            'tellerline_engine_free_slots{host="gpu2"}': "8x100",
            'tellerline_engine_calls{host="gpu1"}': "8x100",
        },
    ),
    "a pipeline is lost, the first time there is such a counter": Case(
        "5m",
        {
            'tellerline_connector_calls_ended_total{host="gpu1",lane="0-0",reason="pipeline_lost"}': (
                "_x10 1x50"
            )
        },
        {"CallsLost": 1},
    ),
    "calls end as calls do": Case(
        "5m",
        {'tellerline_connector_calls_ended_total{host="gpu1",lane="0-0",reason="caller"}': "0+1x100"},
    ),
    "a recording fails, the second time": Case(
        "50m",
        {'tellerline_connector_recordings_total{host="gpu1",lane="0-0",outcome="failed"}': "1x160 2x100"},
        {"RecordingsFailing": 1},
    ),
    "one recording failed an hour ago": Case(
        "1h30m",
        {'tellerline_connector_recordings_total{host="gpu1",lane="0-0",outcome="failed"}': "1x400"},
    ),
    "one turn in five fails": Case(
        "20m",
        {
            'tellerline_pipeline_turns_total{host="gpu1",outcome="answered"}': "0+4x100",
            'tellerline_pipeline_turns_total{host="gpu1",outcome="model_failed"}': "0+1x100",
        },
        {"TurnsFailing": 1},
    ),
    "answers are late": Case(
        "25m",
        {
            'tellerline_pipeline_response_seconds_bucket{host="gpu1",le="1.2"}': "0+1x100",
            'tellerline_pipeline_response_seconds_bucket{host="gpu1",le="2.0"}': "0+10x100",
            'tellerline_pipeline_response_seconds_bucket{host="gpu1",le="+Inf"}': "0+10x100",
        },
        {"AnswersSlow": 1},
    ),
    "an engine does not answer": Case(
        "5m", {'up{job="engine",host="gpu1",unit="tellerline-engine@0"}': "1x4 0x50"}, {"EngineDown": 1}
    ),
    "one session service of two is away": Case(
        "10m",
        {
            'up{job="session",host="data1",unit="tellerline-session"}': "0x100",
            'up{job="session",host="data2",unit="tellerline-session"}': "1x100",
        },
        {"SessionDown": 1},
    ),
    "no session service is left": Case(
        "10m",
        {'up{job="session",host="data1",unit="tellerline-session"}': "0x100"},
        {"SessionDown": 1, "SessionAllDown": 1},
    ),
    "PostgreSQL is away": Case(
        "10m",
        {
            'tellerline_session_unavailable_total{host="data1",rpc="Append"}': "0+1x100",
            'tellerline_banking_closed{host="data1"}': "1x100",
        },
        {"DatabaseUnavailable": 1, "BankingClosed": 1},
    ),
    "a disk takes no records": Case(
        "5m",
        {'tellerline_forwarding_unwritten_total{host="gpu1",unit="pipeline@0-0",producer="p"}': ("_x5 1x50")},
        {"RecordsUnwritten": 1},
    ),
    "an audit head is not kept": Case(
        "5m",
        {'tellerline_audit_head_failures_total{host="data1",unit="tellerline-session"}': "0x5 1x50"},
        {"AuditHeadsFailing": 1},
    ),
    "retention runs daily": Case("3h", {'tellerline_retention_ran_unix_seconds{host="data1"}': "0x1000"}),
    "no banking service is left": Case(
        "5m",
        {'up{job="banking",host="data1",unit="tellerline-banking"}': "0x100"},
        {"BankingDown": 1, "BankingAllDown": 1},
    ),
    "the bank is away": Case(
        "5m",
        {'tellerline_banking_breaker{host="data1",tellerline_banking_breaker="open"}': "1x100"},
        {"BankUnreachable": 1},
    ),
    "the bank refuses our token, the first time": Case(
        "5m",
        {
            'tellerline_banking_bank_requests_total{host="data1",operation="Accounts",outcome="rejected"}': (
                "_x10 1x50"
            )
        },
        {"BankRejectsUs": 1},
    ),
    "an order is in doubt": Case(
        "30m", {'tellerline_banking_orders_in_doubt{host="data1"}': "1x200"}, {"OrdersInDoubt": 1}
    ),
    "an order was in doubt for a minute": Case(
        "30m", {'tellerline_banking_orders_in_doubt{host="data1"}': "0x20 1x4 0x200"}
    ),
    "audit events are lost": Case(
        "5m", {'tellerline_banking_unaudited_total{host="data1"}': "0x5 2x50"}, {"AuditUnwritten": 1}
    ),
    "an identity is forged": Case(
        "5m",
        {'tellerline_banking_forged_identities_total{host="data1"}': "0x5 1x50"},
        {"IdentitiesForged": 1},
    ),
    "PINs are tried out": Case(
        "20m",
        {
            'tellerline_banking_pins_total{host="data1",outcome="rejected"}': "0+2x100",
            'tellerline_banking_pins_total{host="data1",outcome="accepted"}': "0+1x100",
        },
        {"PinsGuessed": 1},
    ),
    "customers mistype now and then": Case(
        "20m",
        {
            'tellerline_banking_pins_total{host="data1",outcome="rejected"}': "0+2x100",
            'tellerline_banking_pins_total{host="data1",outcome="accepted"}': "0+20x100",
        },
    ),
    "OpenSIPS does not run": Case(
        "5m",
        {'node_systemd_unit_state{host="edge1",name="opensips.service",state="active"}': "0x100"},
        {"EdgeDown": 1},
    ),
    "both edges hold the virtual address": Case(
        "5m",
        {
            'tellerline_virtual_address_held{host="edge1"}': "1x100",
            'tellerline_virtual_address_held{host="edge2"}': "1x100",
        },
        {"VirtualAddressWrong": 1},
    ),
    "one of two edges holds it": Case(
        "5m",
        {
            'tellerline_virtual_address_held{host="edge1"}': "1x100",
            'tellerline_virtual_address_held{host="edge2"}': "0x100",
        },
    ),
    "a host is gone": Case("5m", {'up{job="host",host="gpu1"}': "1x4 0x100"}, {"HostDown": 1}),
    "a unit gave up": Case(
        "5m",
        {'node_systemd_unit_state{host="gpu1",name="tellerline-engine@0.service",state="failed"}': "1x100"},
        {"UnitFailed": 1},
    ),
    "a disk is full": Case(
        "5m",
        {
            'node_filesystem_avail_bytes{host="gpu1",mountpoint="/",fstype="ext4"}': "4x100",
            'node_filesystem_size_bytes{host="gpu1",mountpoint="/",fstype="ext4"}': "100x100",
            'node_filesystem_avail_bytes{host="gpu1",mountpoint="/run",fstype="tmpfs"}': "0x100",
            'node_filesystem_size_bytes{host="gpu1",mountpoint="/run",fstype="tmpfs"}': "100x100",
        },
        {"DiskFull": 1},
    ),
    "a disk became read-only": Case(
        "5m",
        {'node_filesystem_readonly{host="gpu1",mountpoint="/var",fstype="ext4"}': "1x100"},
        {"DiskReadOnly": 1},
    ),
    "memory is used up": Case(
        "5m", {'node_vmstat_oom_kill{host="gpu1"}': "3x5 4x100"}, {"MemoryExhausted": 1}
    ),
    "a certificate ends tomorrow": Case(
        "2h",
        {'tellerline_certificate_not_after_unix_seconds{host="gpu1",file="session.pem"}': "86400x600"},
        {"CertificateExpires": 1, "CertificateExpiresNow": 1},
    ),
    "a certificate ends in a month": Case(
        "2h",
        {'tellerline_certificate_not_after_unix_seconds{host="gpu1",file="session.pem"}': "2592000x600"},
    ),
    "somebody touched the audit": Case(
        "5m",
        {'node_systemd_unit_state{host="data1",name="tellerline-audit.service",state="failed"}': "0x3 1x100"},
        {"AuditNotVerified": 1, "UnitFailed": 1},
    ),
    "a task is overdue": Case(
        "2h",
        {
            'tellerline_task_succeeded_unix_seconds{host="data1",task="backup"}': "0x600",
            'tellerline_task_due_seconds{host="data1",task="backup"}': "3600x600",
        },
        {"TaskOverdue": 1},
    ),
    "the SIEM is away": Case("30m", {'tellerline_siem_connected{host="gpu1"}': "0x200"}, {"SiemBehind": 1}),
    "a GPU is gone": Case("5m", {'tellerline_gpu_present{host="gpu1",gpu="1"}': "0x100"}, {"GpuMissing": 1}),
    "a GPU has broken memory": Case(
        "5m",
        {'tellerline_gpu_uncorrected_errors_total{host="gpu1",gpu="0"}': "0x5 1x100"},
        {"GpuMemoryErrors": 1},
    ),
    "Alertmanager is gone": Case(
        "5m", {'up{job="alertmanager",host="monitoring1"}': "0x100"}, {"MonitoringDown": 1}
    ),
    "mail does not go out": Case(
        "5m",
        {'alertmanager_notifications_failed_total{host="monitoring1",integration="email"}': "0x5 3x100"},
        {"AlertsUndelivered": 1},
    ),
    "edges and lanes disagree": Case(
        "20m",
        {
            'opensips_active_dialogs{host="edge1"}': "12x100",
            'tellerline_connector_calls{host="gpu1",lane="0-0"}': "4x100",
        },
        {"CallsStuck": 1},
    ),
    "a daemon died": Case(
        "5m",
        {'node_systemd_service_restart_total{host="gpu1",name="tellerline-engine@0.service"}': "0x5 1x100"},
        {"DaemonRestarted": 1},
    ),
}
# Watchdog fires always; which of the others do is asked of Prometheus' own series of alerts.
_FIRING = 'count by (alertname) (ALERTS{alertstate="firing",alertname!="Watchdog"})'


def written(*chosen: str) -> str:
    """The cases of these names as promtool reads them."""
    tests = [
        {
            "name": name,
            "interval": f"{_STEP_SECONDS}s",
            "input_series": [
                {"series": series, "values": values}
                for series, values in {**(_WELL if case.well else {}), **case.series}.items()
            ],
            "promql_expr_test": [
                {
                    "expr": _FIRING,
                    "eval_time": case.at,
                    "exp_samples": [
                        {"labels": f'{{alertname="{alert}"}}', "value": count}
                        for alert, count in case.fires.items()
                    ],
                }
            ],
        }
        for name, case in CASES.items()
        if name in chosen
    ]
    rules = [str(path) for path in prometheus.RULES]
    return yaml.safe_dump({"rule_files": rules, "evaluation_interval": _EVALUATED, "tests": tests})


def test_alerts_fire_when_they_should_and_no_others_do(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yml"
    cases.write_text(written(*CASES), encoding="utf-8")
    command = [prometheus.tool("promtool"), "test", "rules", str(cases)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_would_tell(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yml"
    true = written("an engine does not answer")
    cases.write_text(true.replace('alertname="EngineDown"', 'alertname="Gone"'), encoding="utf-8")
    command = [prometheus.tool("promtool"), "test", "rules", str(cases)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert 'got: {alertname="EngineDown"}' in done.stdout + done.stderr


def test_every_critical_alert_is_tried() -> None:
    tried = set().union(*(case.fires for case in CASES.values()))
    critical = {
        alert for alert, rule in prometheus.alerts().items() if rule["labels"]["severity"] == "critical"
    }
    assert critical - tried == set()
