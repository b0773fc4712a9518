#!/usr/bin/python3
"""Ansible module: the GPUs that NVIDIA's driver knows, with what names each for good; changes nothing."""

from __future__ import annotations

import glob
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: nvidia_gpus
short_description: GPUs of a host
description:
  - Says of each GPU, by the index nvidia-smi gives it, its UUID and the number of its device node.
  - The node's number need not be the index. And a process that may open one node alone counts that GPU as its
    first, whatever its index on the host is; only the UUID means the same to both.
options: {}
author: Tellerline
"""

EXAMPLES = r"""
- name: Look at the GPUs
  nvidia_gpus:
  register: gpus
"""

RETURN = r"""
gpus:
  description: Index (as a string) to uuid, minor, driver, memory_mb.
  returned: always
  type: dict
fault:
  description: What nvidia-smi said instead; empty where it answered.
  returned: always
  type: str
"""

_ASKED = "index,uuid,pci.bus_id,driver_version,memory.total"
_INFORMATION = "/proc/driver/nvidia/gpus/*/information"


def told(rows: str, information: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Index → GPU, of nvidia-smi's lines and the driver's own files (bus location → device minor)."""
    gpus = {}
    for row in rows.splitlines():
        cells = [cell.strip() for cell in row.split(",")]
        if len(cells) != len(_ASKED.split(",")):
            continue
        index, uuid, bus, driver, memory = cells
        gpus[index] = {
            "uuid": uuid,
            # Where the driver does not say, they are counted alike.
            "minor": int(information.get(_location(bus), index)),
            "driver": driver,
            "memory_mb": int(memory) if memory.isdigit() else 0,
        }
    return gpus


def minors(texts: list[str]) -> dict[str, str]:
    """Bus location → device minor, of /proc/driver/nvidia/gpus/*/information."""
    found = {}
    for text in texts:
        said = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "Bus Location" in said and "Device Minor" in said:
            found[_location(said["Bus Location"])] = said["Device Minor"].strip()
    return found


def _location(bus: str) -> str:
    """A bus location as both write it: nvidia-smi gives the domain eight digits, the driver's file four."""
    domain, _, rest = bus.strip().lower().partition(":")
    return f"{int(domain, 16):x}:{rest}"


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    command = ("nvidia-smi", f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        module.exit_json(changed=False, gpus={}, fault=str(error))
    if answer.returncode != 0:
        module.exit_json(changed=False, gpus={}, fault=(answer.stdout + answer.stderr).strip())
    texts = []
    for path in glob.glob(_INFORMATION):
        with open(path, encoding="utf-8") as text:
            texts.append(text.read())
    module.exit_json(changed=False, gpus=told(answer.stdout, minors(texts)), fault="")


if __name__ == "__main__":
    main()
