"""The example sites through the real templates: every file a daemon is given is good, and they agree."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tellerline import settings

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("site", "engines", "lanes"),
    [
        ("single-server", {"teller1": {"cpu"}}, {"teller1": {"cpu-0"}}),
        (
            "example-bank",
            {"gpu1": {"0", "1"}, "gpu2": {"0", "1"}},
            {"gpu1": {"0-0", "1-0"}, "gpu2": {"0-0", "1-0"}},
        ),
    ],
)
def test_an_example_site_renders_to_settings_that_fit_together(
    ansible_playbook: Run,
    tmp_path: Path,
    site: str,
    engines: dict[str, set[str]],
    lanes: dict[str, set[str]],
) -> None:
    # One lane a GPU: the others are rendered alike.
    done = ansible_playbook(HERE / "render.yml", site, rendered=str(tmp_path / "hosts"), tellerline_lanes=1)
    assert done.returncode == 0, done.stdout + done.stderr
    for host, gpus in engines.items():
        folder = tmp_path / "hosts" / host
        loaded = {gpu: settings.load(settings.EngineSettings, folder / f"engine@{gpu}.yml") for gpu in gpus}
        assert len(list(folder.iterdir())) == len(gpus) + 2 * len(lanes[host])
        for lane in lanes[host]:
            pipeline = settings.load(settings.PipelineSettings, folder / f"pipeline@{lane}.yml")
            connector = settings.load(settings.ConnectorSettings, folder / f"connector@{lane}.yml")
            _fits(loaded, lane, pipeline, connector)


def _fits(
    engines: dict[str, settings.EngineSettings],
    lane: str,
    pipeline: settings.PipelineSettings,
    connector: settings.ConnectorSettings,
) -> None:
    own = lane.partition("-")[0]
    assert pipeline.engine_socket == engines[own].socket
    assert connector.pipeline_socket == pipeline.socket
    assert connector.lane == lane
    # Who tells callers that they are recorded, and who records them, agree.
    assert pipeline.records == (connector.recording is not None)
    # Nobody but the pipeline's targets is dialled, whatever a pipeline says.
    assert connector.transfer_targets == (pipeline.transfer_target, *pipeline.further_targets)
    assert set(connector.phrases_by_number) == set(pipeline.languages_by_number)
    # A connector brings secrets to the address of their own.
    assert connector.banking is not None and pipeline.banking is not None
    assert all(address.endswith(":7445") for address in connector.banking.addresses)
    assert all(address.endswith(":7444") for address in pipeline.banking.addresses)


def test_the_language_model_of_a_cluster_is_given_with_its_key(ansible_playbook: Run, tmp_path: Path) -> None:
    done = ansible_playbook(
        HERE / "render.yml",
        "single-server",
        rendered=str(tmp_path / "hosts"),
        vault_openai_key="word",
        lane_openai={"base_url": "https://models.bank.example:8000/v1", "chat_model": "bank-70b"},
        tellerline_provider_servers=[{"host": "models.bank.example", "port": 8000}],
        tellerline_names={"models.bank.example": ["10.20.0.7"]},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / "hosts" / "teller1" / "pipeline@cpu-0.yml"
    providers = settings.load(settings.PipelineSettings, path).providers
    assert providers.language_model == ("openai", "local")
    assert providers.openai is not None
    assert providers.openai.key == Path("/run/credentials/tellerline-pipeline@cpu-0.service/openai_key")


def test_databases_of_the_banks_own_reach_session_and_banking(ansible_playbook: Run, tmp_path: Path) -> None:
    authority = tmp_path / "bank.pem"
    authority.touch()
    done = ansible_playbook(
        HERE / "render_data.yml",
        "example-bank",
        rendered=str(tmp_path / "hosts"),
        tellerline_database_dsn_hosts=["db1.bank.example", "db2.bank.example"],
        tellerline_database_options="port=6432",
        tellerline_database_authority=str(authority),
        tellerline_redis_sentinels=["10.20.0.21:26379", "10.20.0.22:26379"],
        tellerline_redis_sentinel_name="tellerline",
        tellerline_bank_url="https://core.bank.example/tellerline/v1",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "hosts" / "data1"
    session = settings.load(settings.SessionSettings, folder / "session.yml")
    banking = settings.load(settings.BankingSettings, folder / "banking.yml")
    for role, chosen in (("session", session), ("banking", banking)):
        words = dict(word.split("=", 1) for word in chosen.database.dsn.split())
        assert words["host"] == "db1.bank.example,db2.bank.example"
        assert words["port"] == "6432"
        assert words["user"] == f"tellerline_{role}"
        assert words["target_session_attrs"] == "read-write"
        assert words["sslmode"] == "verify-full"
        assert words["sslrootcert"] == "/etc/tellerline/pki/database-authority.pem"
        assert chosen.redis.sentinels == ("10.20.0.21:26379", "10.20.0.22:26379")
        assert chosen.redis.sentinel_name == "tellerline"


@pytest.mark.parametrize("site", ["single-server", "example-bank"])
def test_a_backup_tells_a_database_of_the_banks_own(ansible_playbook: Run, site: str) -> None:
    here = ansible_playbook(HERE / "backup_preflight.yml", site)
    assert here.returncode == 0, here.stdout + here.stderr
    assert "its backup is" not in here.stdout
    elsewhere = ansible_playbook(
        HERE / "backup_preflight.yml", site, tellerline_database_dsn_hosts=["192.0.2.50", "192.0.2.51"]
    )
    assert elsewhere.returncode == 0, elsewhere.stdout + elsewhere.stderr
    assert "its backup is" in elsewhere.stdout


def test_a_site_that_is_wrong_is_refused_before_a_host_is_connected_to(ansible_playbook: Run) -> None:
    done = ansible_playbook(
        ROOT / "playbooks" / "validate.yml", "example-bank", vault_audit_key="short", tellerline_bundle_key=""
    )
    assert done.returncode != 0
    assert "no host has been touched" in done.stdout
    assert "vault_audit_key is not 32 bytes" in done.stdout
    assert "2. tellerline_bundle_key is not set" in done.stdout
    # The hosts of the example do not exist: an attempt to reach one would show.
    assert "unreachable=1" not in done.stdout


def test_secrets_are_written_encrypted_and_never_twice(ansible_playbook: Run, tmp_path: Path) -> None:
    vault = tmp_path / "site" / "vault.yml"
    given = {"vault_file": str(vault), "vault_password": "correct horse battery"}
    done = ansible_playbook(ROOT / "playbooks" / "vault.yml", None, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    written = vault.read_text()
    assert written.startswith("$ANSIBLE_VAULT;1.1;AES256\n")
    assert vault.stat().st_mode & 0o777 == 0o600
    again = ansible_playbook(ROOT / "playbooks" / "vault.yml", None, **given)
    assert again.returncode != 0
    assert "what it opens would be lost" in again.stdout
    assert vault.read_text() == written
