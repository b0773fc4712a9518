"""`tellerline sandbox-bank` as a process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tellerline.banking.rest import RestBank
from tellerline.errors import BankUnavailable
from tellerline.settings import BankSettings

from .conftest import EMMA

COMMAND = [sys.executable, "-m", "tellerline", "sandbox-bank", "--port", "0", "--latency-ms", "5"]


@pytest.fixture
def base_url(tmp_path: Path) -> Iterator[str]:
    """Where a process of its own serves the sandbox bank; it ends by SIGTERM."""
    with (
        (tmp_path / "log").open("w+") as log,
        subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        # The line comes when the port listens, or the end of the file when the process has failed.
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)
        log.seek(0)
        assert "Traceback" not in log.read()


async def test_it_tells_where_it_listens_and_is_switched_over_http(base_url: str) -> None:
    switches = base_url.removesuffix("/tellerline/v1") + "/sandbox"
    settings = BankSettings(base_url=base_url, timeout_seconds=2)
    async with RestBank(settings) as bank, httpx.AsyncClient(base_url=switches, trust_env=False) as switch:
        assert (await bank.find_customer("10012345")) is not None
        assert (await switch.put("/behaviour", json={"faults": [{"mode": "refusing"}]})).status_code == 200
        with pytest.raises(BankUnavailable):
            await bank.accounts(EMMA)
        assert (await switch.post("/reset")).json() == {"faults": [], "latency_ms": 5}
        assert await bank.accounts(EMMA)
        journal = (await switch.get("/requests")).json()["requests"]
        assert [entry["operation"] for entry in journal] == ["accounts"]
        wrong = await switch.put("/behaviour", json={"faults": [{"mode": "moody"}]})
        assert wrong.status_code == 400
