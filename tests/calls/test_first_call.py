"""`make call` in small: the command line starts a stack, calls it, and leaves a recording and a report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import psutil
import pytest

from tellerline.engine.store import ModelStore
from tellerline.stack import Stack
from tellerline.stack_state import is_running, read_state

TELLERLINE = (sys.executable, "-m", "tellerline")


# A call that other processes disturbed is placed again, twice at most, of a minute each.
@pytest.mark.timeout(400)
def test_the_first_call_holds(model_store: ModelStore, home: Path) -> None:
    where = ("--home", str(home), "--models", str(model_store.root))
    call = (*TELLERLINE, "call", "first_call", *where, "--out", str(home / "call"))
    done = subprocess.run(
        (*TELLERLINE, "up", "--no-bank", *where, "--", *call), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not is_running(home), "the stack outlived its command"

    report = json.loads((home / "call" / "call.json").read_text())
    assert report["passed"]
    assert len(report["turns"]) >= 6
    with wave.open(str(home / "call" / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        caller, bot = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2).T
    assert np.abs(caller).max() > 1000, "nobody speaks on the left"
    assert np.abs(bot).max() > 1000, "the bot is not heard on the right"

    records = [json.loads(path.read_text()) for path in (home / "spool" / "cpu-0").glob("*.json")]
    assert report["sip_call_id"] in [record["sip_call_id"] for record in records]
    assert {record["state"] for record in records} == {"closed"}


def test_a_second_stack_in_the_same_home_is_refused(echo_stack: Stack) -> None:
    command = (*TELLERLINE, "up", "--home", str(echo_stack.home))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "stop it first" in done.stderr


def test_a_command_on_a_running_stack_uses_that_one(echo_stack: Stack) -> None:
    command = (*TELLERLINE, "up", "--home", str(echo_stack.home), "--", "sh", "-c", "exit 7")
    assert subprocess.run(command, capture_output=True).returncode == 7
    assert is_running(echo_stack.home)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_up_runs_until_it_is_told_to_stop(model_store: ModelStore, home: Path, stop: signal.Signals) -> None:
    command = (*TELLERLINE, "up", "--home", str(home), "--models", str(model_store.root))
    told = home / "told"
    with (
        told.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as up,
    ):
        assert up.stdout is not None
        # Printed when the lane takes calls.
        assert "sip:tellerline@127.0.0.1:" in up.stdout.readline()
        # To the last line: writing to nobody would end it otherwise than asked.
        assert any("Ctrl-C stops" in line for line in iter(up.stdout.readline, ""))
        state = read_state(home)
        daemons = [state.engine_pid, state.lanes[0].connector_pid, state.lanes[0].pipeline_pid]
        up.send_signal(stop)
    assert up.returncode == 0, told.read_text()
    assert not is_running(home)
    assert [pid for pid in daemons if pid is None or psutil.pid_exists(pid)] == []
