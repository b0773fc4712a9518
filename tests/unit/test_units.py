"""The systemd units: scored, verified by systemd itself, and ordered so that any order of starts will do."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import jinja2
import pytest

from tellerline import settings
from tellerline.engine import admission
from tellerline.supervisor import _RESTART_WINDOW_SECONDS, _RESTARTS

UNITS = Path(__file__).resolve().parents[2] / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
DAEMONS = ("engine@", "pipeline@", "connector@", "session", "banking")
# CTranslate2, onnxruntime and numba write code: without it models answer wrongly, silently (docs/units.md).
WRITES_CODE = {"tellerline-engine@.service", "tellerline-pipeline@.service"}
# They start units, make device nodes, look at files of every owner; with no capability but what that takes.
ROOT = {"tellerline-alarm@.service", "tellerline-gpu-nodes.service", "tellerline-host-metrics.service"}
EXPOSURE_MAX = 2.0

systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")

Sections = Mapping[str, Mapping[str, list[str]]]


def parsed(text: str) -> Sections:
    """A unit's settings by section and key, in their order; a key may come several times."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in text.replace("\\\n", "").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found[section][key].append(value)
    return found


def unit(name: str) -> Sections:
    return parsed((UNITS / name).read_text())


# As plugins/modules/nvidia_gpus.py tells of one.
CARD = {"uuid": "GPU-7b2d0c6f-0000-4a51-9d47-52b6a0a3c1de", "minor": 1}


def rendered(template: str, **variables: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(UNITS / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(ansible_managed="by Ansible", **variables)


def exposure(folder: Path, name: str) -> float:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(folder / name)],
        capture_output=True,
        text=True,
    )
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said.stdout)
    assert score is not None, said.stdout + said.stderr
    return float(score[1])


# ---- the sandbox


@systemd
@pytest.mark.parametrize("name", SERVICES)
def test_exposure_is_low(name: str) -> None:
    assert exposure(UNITS, name) <= EXPOSURE_MAX


@systemd
def test_exposure_of_an_engine_with_its_gpu_is_low(tmp_path: Path) -> None:
    both = (UNITS / "tellerline-engine@.service").read_text() + rendered("gpu.conf.j2", engine_card=CARD)
    (tmp_path / "tellerline-engine@.service").write_text(both)
    assert exposure(tmp_path, "tellerline-engine@.service") <= EXPOSURE_MAX


# What matters of the packages' own units, which score 9.2 and 9.3.
PACKAGED = {
    "opensips": "[Service]\nType=forking\nUser=opensips\nGroup=opensips\nExecStart=/usr/sbin/opensips\n",
    "rtpengine-daemon": "[Service]\nType=notify\nUser=rtpengine\nGroup=rtpengine\n"
    "AmbientCapabilities=CAP_NET_ADMIN CAP_SYS_NICE\nExecStart=/usr/bin/rtpengine -f\n",
}


@systemd
@pytest.mark.parametrize("name", PACKAGED)
def test_exposure_of_the_edges_packages_is_low(name: str, tmp_path: Path) -> None:
    """With the drop-in of their role; what a site sets in it plays no part."""
    (drop_in,) = UNITS.parent.glob(f"roles/*/templates/etc/systemd/system/{name}.service.d/*.j2")
    lines = [line for line in drop_in.read_text().splitlines() if not line.startswith("{%")]
    (tmp_path / f"{name}.service").write_text(PACKAGED[name])
    assert exposure(tmp_path, f"{name}.service") > 4 * EXPOSURE_MAX
    whole = PACKAGED[name] + re.sub(r"{{.*?}}", "x", "\n".join(lines)) + "\n"
    (tmp_path / f"{name}.service").write_text(whole)
    assert exposure(tmp_path, f"{name}.service") <= EXPOSURE_MAX


@pytest.mark.parametrize("name", SERVICES)
def test_memory_that_can_be_run_is_denied_but_to_those_who_need_it(name: str) -> None:
    expected = "no" if name in WRITES_CODE else "yes"
    assert unit(name)["Service"]["MemoryDenyWriteExecute"] == [expected]


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_is_root_who_need_not_be(name: str) -> None:
    service = unit(name)["Service"]
    assert ("User" in service or "DynamicUser" in service) == (name not in ROOT)
    assert service["LimitCORE"] == ["0"]
    assert service["NoNewPrivileges"] == ["yes"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_and_no_site_is_in_a_unit(name: str) -> None:
    text = (UNITS / name).read_text().lower()
    for word in ("192.168.", "10.0.", "example", "setcredential"):
        assert word not in text
    environment = " ".join(unit(name)["Service"].get("Environment", [])).lower()
    for word in ("password", "token", "key", "secret"):
        assert word not in environment


def test_an_engine_gets_the_nodes_of_its_gpu_alone() -> None:
    service = parsed(rendered("gpu.conf.j2", engine_card=CARD))["Service"]
    assert service["PrivateDevices"] == ["no"]
    assert service["DevicePolicy"] == ["closed"]
    assert service["DeviceAllow"] == [
        f"/dev/{node} rw" for node in ("nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
    ]


def test_an_engine_knows_its_gpu_by_what_it_is_called_inside_its_sandbox_too() -> None:
    """CUDA counts the GPUs a process may open, from 0: the index on the host would name none."""
    service = parsed(rendered("gpu.conf.j2", engine_card=CARD))["Service"]
    assert service["Environment"] == [f"CUDA_VISIBLE_DEVICES={CARD['uuid']}"]


def test_device_nodes_are_made_for_as_many_gpus_as_a_host_may_have() -> None:
    [made] = unit("tellerline-gpu-nodes.service")["Service"]["ExecStart"]
    assert "seq 0 15" in made


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "tellerline-gpu-nodes.service"])
def test_a_leak_stays_in_its_own_unit(name: str) -> None:
    limited = unit(name)
    if name == "tellerline-engine@.service":
        # By the host's memory, which the unit cannot know.
        limited = parsed(rendered("memory.conf.j2", engine_memory_max="70%"))
    assert len(limited["Service"]["MemoryMax"]) == 1
    # The kernel would take others first, whose calls are well.
    assert unit(name)["Service"].get("OOMPolicy", ["stop"]) == ["stop"]


# ---- starting, watching, stopping


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_daemon_is_notified_watched_restarted_and_alarmed(daemon: str) -> None:
    found = unit(f"tellerline-{daemon}.service")
    service = found["Service"]
    assert service["Type"] == ["notify"]
    assert 1 <= int(service["WatchdogSec"][0]) <= 30
    assert service["Restart"] == ["always"]
    assert service["KillMode"] == ["mixed"]
    assert found["Unit"]["OnFailure"] == ["tellerline-alarm@%n.service"]
    assert int(found["Unit"]["StartLimitBurst"][0]) == _RESTARTS
    assert float(found["Unit"]["StartLimitIntervalSec"][0]) >= _RESTART_WINDOW_SECONDS


@pytest.mark.parametrize(
    ("daemon", "seconds"),
    [
        ("connector@", settings.ConnectorSettings().drain_seconds),
        ("pipeline@", settings.PipelineSettings().drain_seconds),
    ],
)
def test_a_stop_outlasts_the_drain(daemon: str, seconds: float) -> None:
    stop = float(unit(f"tellerline-{daemon}.service")["Service"]["TimeoutStopSec"][0])
    assert stop > seconds + admission.LEASE_SECONDS


@pytest.mark.parametrize(
    ("daemon", "chosen"),
    [
        ("engine@", settings.EngineSettings()),
        ("pipeline@", settings.PipelineSettings()),
        ("connector@", settings.ConnectorSettings()),
    ],
)
def test_folders_are_the_daemons_own_and_sockets_their_groups(daemon: str, chosen: settings.Concern) -> None:
    service = unit(f"tellerline-{daemon}.service")["Service"]
    assert service["RuntimeDirectory"] == [f"tellerline/{daemon}%i"]
    assert service["RuntimeDirectoryMode"] == ["0750"]
    assert service["StateDirectory"] == [f"tellerline/{daemon}%i"]
    assert service["StateDirectoryMode"] == ["0700"]
    assert service["Group"] == ["tellerline"]


# ---- order


def after(name: str, *drop_ins: str) -> set[str]:
    """Whom a unit starts after; at a stop it goes before them."""
    texts = ((UNITS / name).read_text(), *drop_ins)
    return {
        other for text in texts for line in parsed(text)["Unit"].get("After", []) for other in line.split()
    }


def test_calls_end_before_what_they_need() -> None:
    lane = rendered("lane.conf.j2", lane_gpu="0", tellerline_gpus=[0, 1])
    connector = after("tellerline-connector@.service", lane)
    pipeline = after("tellerline-pipeline@.service", lane)
    back = {"tellerline-session.service", "tellerline-banking.service"}
    engines = {"tellerline-engine@0.service", "tellerline-engine@1.service"}
    assert connector >= back | engines | {"tellerline-pipeline@%i.service", "opensips.service"}
    assert pipeline >= back | engines
    for service in back:
        assert after(service) >= {"postgresql.service", "redis-server.service"}


def test_nobody_dies_with_another() -> None:
    """Requires= and BindsTo= would stop a lane with its engine; only the GPU's target stops what is its."""
    texts = [path.read_text() for path in UNITS.glob("*.*") if path.is_file()]
    texts.append(rendered("lane.conf.j2", lane_gpu="0", tellerline_gpus=[0]))
    for text in texts:
        assert not {"Requires", "BindsTo", "Requisite"} & parsed(text)["Unit"].keys()


def test_a_lane_belongs_to_its_gpu_and_wants_its_engine() -> None:
    found = parsed(rendered("lane.conf.j2", lane_gpu="cpu", tellerline_gpus=["cpu"]))["Unit"]
    assert found["PartOf"] == ["tellerline-gpu@cpu.target"]
    assert found["Wants"] == ["tellerline-engine@cpu.service"]


def test_a_gpu_wants_its_lanes() -> None:
    found = parsed(rendered("lanes.conf.j2", lane_gpu="0", tellerline_lanes=3))["Unit"]
    wanted = {name for line in found["Wants"] for name in line.split()}
    assert wanted == {
        f"tellerline-{kind}@0-{lane}.service" for kind in ("pipeline", "connector") for lane in range(3)
    }


@systemd
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """All units of a host of two GPUs, drop-ins included, and no cycle among them."""
    program = tmp_path / "tellerline"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in UNITS.iterdir():
        if path.is_file():
            text = path.read_text().replace("/opt/tellerline/current/venv/bin/tellerline", str(program))
            (tmp_path / path.name).write_text(text)
    wanted = []
    for gpu in ("0", "1"):
        _drop_in(
            tmp_path,
            f"tellerline-gpu@{gpu}.target",
            rendered("lanes.conf.j2", lane_gpu=gpu, tellerline_lanes=2),
        )
        _drop_in(tmp_path, f"tellerline-engine@{gpu}.service", rendered("gpu.conf.j2", engine_card=CARD))
        for lane in range(2):
            for kind in ("pipeline", "connector"):
                name = f"tellerline-{kind}@{gpu}-{lane}.service"
                _drop_in(tmp_path, name, rendered("lane.conf.j2", lane_gpu=gpu, tellerline_gpus=[0, 1]))
                wanted.append(name)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no"]
        + [
            str(tmp_path / name)
            for name in (
                "tellerline.target",
                "tellerline-gpu@0.target",
                *wanted,
                *(name for name in SERVICES if "@" not in name),
            )
        ],
        capture_output=True,
        text=True,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    ours = [line for line in said.stderr.splitlines() if "tellerline" in line]
    assert (said.returncode, ours) == (0, [])


def _drop_in(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.d").mkdir(exist_ok=True)
    (folder / f"{name}.d" / "site.conf").write_text(text)
