"""A fault while a key is handled must not have the loop log the key."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import grpc
import pytest

from tellerline.connector.lane import Lane
from tellerline.connector.sip_listener import Invitation
from tellerline.connector.stream import Pipeline
from tellerline.settings import ConnectorSettings


async def test_a_fault_over_a_key_is_logged_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = grpc.aio.insecure_channel(f"unix:{tmp_path}/none")
    lane = Lane(
        ConnectorSettings(spool=tmp_path / "spool"), Pipeline(channel), {}, asyncio.get_running_loop()
    )
    lane.invited(Invitation(1, 0, "abc@edge", "+49", "echo"))

    call_id = lane.calls[1].call_id

    def fail(digit: str, duration_ms: int) -> None:
        raise ValueError(f"cannot take {digit}")

    monkeypatch.setattr(lane.calls[1], "pressed", fail)
    with caplog.at_level(logging.DEBUG):
        asyncio.get_running_loop().call_soon(lane.digit, 1, "7", 100)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert "a key was lost: ValueError" in caplog.text
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("tellerline")]
    assert not any("7" in message.removeprefix(f"call {call_id}") for message in ours)
    assert not [record for record in caplog.records if record.name == "asyncio" and record.levelno >= 40]
    await lane.finish_tasks(5)
    lane.close()
    await channel.close()
