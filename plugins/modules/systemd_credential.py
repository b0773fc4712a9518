#!/usr/bin/python3
"""Ansible module: a secret as a credential that only this host's systemd can open."""

from __future__ import annotations

import os
import subprocess
import tempfile

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: systemd_credential
short_description: Keep a secret as an encrypted systemd credential
description:
  - Encrypts I(secret) with C(systemd-creds) on the host that is to use it (its TPM, or its own key), since
    nothing encrypted elsewhere could be opened there. The secret travels in the module's arguments over SSH
    and reaches C(systemd-creds) through a pipe, so it is in no command line, environment or file in clear.
  - What is there already is opened and compared, so that a second run changes nothing.
options:
  name:
    description: Name of the credential, as in C(LoadCredentialEncrypted=); under another it does not open.
    required: true
    type: str
  path:
    description: File of the encrypted credential.
    required: true
    type: path
  secret:
    description: What to keep, byte for byte.
    required: true
    type: str
author: Tellerline
"""

EXAMPLES = r"""
- name: Keep the audit key
  systemd_credential:
    name: audit_key
    path: /etc/credstore.encrypted/tellerline-session.audit_key
    secret: "{{ tellerline_secrets.audit_key }}"
  no_log: true
"""

RETURN = r"""
path:
  description: File of the encrypted credential.
  returned: always
  type: str
"""


def opened(name: str, path: str) -> bytes | None:
    """What the credential at `path` holds; None when it cannot be opened as `name` on this host."""
    if not os.path.exists(path):
        return None
    done = subprocess.run(["systemd-creds", "decrypt", f"--name={name}", path, "-"], capture_output=True)
    return done.stdout if done.returncode == 0 else None


def sealed(name: str, secret: bytes) -> bytes:
    """`secret` encrypted as `name` for this host. Raises CalledProcessError."""
    command = ["systemd-creds", "encrypt", f"--name={name}", "-", "-"]
    return subprocess.run(command, input=secret, capture_output=True, check=True).stdout


def write_whole(path: str, content: bytes) -> None:
    """Replaces `path` in one step: a daemon that starts meanwhile finds the old one or the new one."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=folder, prefix=".credential-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "secret": {"type": "str", "required": True, "no_log": True},
        },
        supports_check_mode=True,
    )
    name, path = module.params["name"], module.params["path"]
    secret = module.params["secret"].encode()
    if opened(name, path) == secret:
        module.exit_json(changed=False, path=path)
    if not module.check_mode:
        try:
            write_whole(path, sealed(name, secret))
        except subprocess.CalledProcessError as error:
            why = error.stderr.decode(errors="replace").strip()
            module.fail_json(msg=f"{name}: systemd-creds cannot encrypt on this host: {why}")
    module.exit_json(changed=True, path=path)


if __name__ == "__main__":
    main()
