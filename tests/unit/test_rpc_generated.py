"""The message classes in the tree are what their .proto files generate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tellerline.rpc

RPC = Path(tellerline.rpc.__file__).parent


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    source = RPC.parents[1]
    protos = sorted(RPC.glob("*.proto"))
    outputs = (f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python"))
    command = (sys.executable, "-m", "grpc_tools.protoc", "-I", str(source), *outputs, *map(str, protos))
    subprocess.run(command, check=True)
    made = sorted((tmp_path / "tellerline" / "rpc").iterdir())
    assert [file.name for file in made] == sorted(file.name for file in RPC.glob("*_pb2*"))
    for file in made:
        assert file.read_text() == (RPC / file.name).read_text(), f"{file.name} is stale: run `make proto`"
