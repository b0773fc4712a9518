#!/usr/bin/python
"""Installs a release beside the others, below /opt/tellerline/releases: complete, or not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: release_install
short_description: Install a release of Tellerline
description:
  - Unpacks the release, builds its virtual environment at its final path from wheels by their hashes,
    tries it, and only then marks it as complete. What an interrupted run left is removed first.
options:
  root:
    description: Folder of releases/, current and previous.
    type: path
    default: /opt/tellerline
  version:
    description: The release.
    type: str
    required: true
  identity:
    description: What the release consists of, as release_verify says it.
    type: str
    required: true
  incoming:
    description: Folder with release.tar.gz, requirements.lock and the wheels. Without it, only look.
    type: path
  lock:
    description: Which lock file of that folder.
    type: str
    default: requirements.lock
  python:
    description: Whether daemons run on this host; without, the release is its files alone.
    type: bool
    default: true
author: Tellerline
"""

EXAMPLES = r"""
- name: Install the release
  release_install:
    version: 0.1.0
    identity: "{{ release_verified.identity }}"
    incoming: /opt/tellerline/incoming/0.1.0
"""

RETURN = r"""
complete:
  description: Whether this very release is installed.
  returned: success
  type: bool
"""


_MARK = ".complete"
# What a release must be able to load before anybody relies on it: each has compiled parts.
_TRIED = "ctranslate2, faster_whisper, llama_cpp, onnxruntime, piper, pjsua2, vosk, tellerline.cli.main"


class Failed(Exception):
    """A step of the installation failed."""


def complete(folder, identity):
    """Whether the release in `folder` is this one, and whole."""
    try:
        with open(os.path.join(folder, _MARK), encoding="ascii") as mark:
            return mark.read().strip() == identity
    except OSError:
        return False


def install(folder, identity, incoming, lock, with_python):
    """Builds the release in `folder`, replacing whatever is there."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with tarfile.open(os.path.join(incoming, "release.tar.gz")) as archive:
        archive.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(
            folder
        )
    if with_python:
        _environment(folder, incoming, lock)
    with open(os.path.join(folder, _MARK), "w", encoding="ascii") as mark:
        mark.write(identity + "\n")
        mark.flush()
        os.fsync(mark.fileno())


def _environment(folder, incoming, lock):
    environment = os.path.join(folder, "venv")
    python = os.path.join(environment, "bin", "python")
    _run("a virtual environment", "/usr/bin/python3", "-m", "venv", environment)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--no-input")
    wheels = ("--no-index", "--no-cache-dir", "--no-deps", "--only-binary", ":all:")
    locked = ("--require-hashes", "--find-links", os.path.join(incoming, "wheels"))
    _run("Python packages", *pip, "install", *wheels, *locked, "--requirement", os.path.join(incoming, lock))
    if lock != "requirements.lock":
        # One has the name and version of a plain one, and pip would take either: hence by their paths.
        variant = os.path.join(incoming, "wheels-cuda")
        paths = (os.path.join(variant, name) for name in sorted(os.listdir(variant)))
        _run("Python packages for GPUs", *pip, "install", *wheels, *paths)
    (own,) = (name for name in os.listdir(folder) if name.endswith(".whl"))
    _run("Tellerline's own package", *pip, "install", *wheels, os.path.join(folder, own))
    _run("the packages' needs of one another", *pip, "check")
    _run("trying the packages", python, "-I", "-c", f"import {_TRIED}")


def _run(what, *command):
    # Nothing of the caller's Python may leak into the environment that is built.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**clean, "LC_ALL": "C.UTF-8"}
    )
    if finished.returncode != 0:
        told = "\n".join((finished.stdout + finished.stderr).splitlines()[-15:])
        raise Failed(f"{what}: {' '.join(command[:4])} … ended with {finished.returncode}\n{told}")


def main():
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/opt/tellerline"},
            "version": {"type": "str", "required": True},
            "identity": {"type": "str", "required": True},
            "incoming": {"type": "path"},
            "lock": {"type": "str", "default": "requirements.lock"},
            "python": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    folder = os.path.join(given["root"], "releases", given["version"])
    identity = given["identity"] if given["python"] else f"{given['identity']} files"
    if complete(folder, identity):
        module.exit_json(changed=False, complete=True)
    if given["incoming"] is None or module.check_mode:
        module.exit_json(changed=given["incoming"] is not None, complete=False)
    os.umask(0o022)
    try:
        install(folder, identity, given["incoming"], given["lock"], given["python"])
    except (Failed, OSError, tarfile.TarError, ValueError) as error:
        module.fail_json(msg=f"The release {given['version']} could not be installed: {error}")
    module.exit_json(changed=True, complete=True)


if __name__ == "__main__":
    main()
