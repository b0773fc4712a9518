"""playbooks/rotate.yml: its checks notice certificates that are refused, and those that are not shown."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import jinja2
import pytest
import yaml
from bank.certificates import Authority, Signed
from free_ports import free_port

from tellerline import bootstrap
from tellerline.settings import Tls

_PLAYBOOK = Path(__file__).resolve().parents[3] / "playbooks" / "rotate.yml"


def _command(name: str, pki: Path, item: object) -> list[str]:
    """What the task whose name begins so runs, with the site's files in `pki`."""
    plays = yaml.safe_load(_PLAYBOOK.read_text(encoding="utf-8"))
    [task] = [task for play in plays for task in play["tasks"] if task["name"].startswith(name)]
    command = task["ansible.builtin.shell"]["cmd"].replace("/etc/tellerline/pki", str(pki))
    return ["bash", "-c", jinja2.Template(command).render(rotate_host="127.0.0.1", item=item)]


async def _succeeds(command: list[str]) -> bool:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def sign(pki: Path) -> Callable[[str, Authority], Signed]:
    """Lays certificate and key of `name` where a host has them."""

    def lay(name: str, authority: Authority) -> Signed:
        signed = authority.sign(name)
        for path in (signed.certificate, signed.key):
            path.replace(pki / path.name)
        return Signed(pki / signed.certificate.name, pki / signed.key.name)

    return lay


async def test_what_is_refused_or_not_taken_up_is_noticed(
    pki: Path, sign: Callable[[str, Authority], Signed]
) -> None:
    (pki / "other").mkdir()
    authority, other = Authority(pki), Authority(pki / "other")
    own = sign("session", authority)
    port = free_port()
    # Files of its own, so that it does not follow those that are renewed.
    kept = Signed(pki / "kept.pem", pki / "kept.key")
    shutil.copy(own.certificate, kept.certificate)
    shutil.copy(own.key, kept.key)
    tls = Tls(
        certificate=kept.certificate, key=kept.key, authority=authority.certificate, peers=("pipeline",)
    )
    server, _ = bootstrap.listen(f"127.0.0.1:{port}", tls)
    await server.start()
    knock = _command("Knock at", pki, ["127.0.0.1", {"port": port, "as": "pipeline"}])
    compare = _command("Compare what is shown", pki, {"name": "session", "port": port})
    try:
        sign("pipeline", authority)
        assert await _succeeds(knock) and await _succeeds(compare)
        # With TLS 1.3 it would be noticed now and then.
        sign("pipeline", other)
        assert not any([await _succeeds(knock) for _ in range(5)])
        # New files that the server does not show, and files whose authority nobody trusts.
        sign("session", authority)
        assert not await _succeeds(compare)
        sign("session", other)
        assert not await _succeeds(compare)
    finally:
        await server.stop(None)
