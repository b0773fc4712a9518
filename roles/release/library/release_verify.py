#!/usr/bin/python
"""Refuses a bundle that is not, bit for bit, what its builder signed; changes nothing."""

from __future__ import annotations

import hashlib
import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tellerline_bundle import Refused, check_bundle

DOCUMENTATION = r"""
module: release_verify
short_description: Verify a bundle
description:
  - Checks the signature of the bundle's manifest by the key the site trusts, and every file by its SHA-256.
  - Runs on the control node, before anything is changed anywhere.
options:
  bundle:
    description: Folder that holds MANIFEST.sha256.
    type: path
    required: true
  key:
    description: minisign's public key of the builder (the second line of its minisign.pub).
    type: str
    required: true
  version:
    description: The release the bundle must have been signed for.
    type: str
    required: true
author: Tellerline
"""

EXAMPLES = r"""
- name: Verify the bundle
  release_verify:
    bundle: /media/stick/tellerline-0.1.0
    key: RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3
    version: 0.1.0
"""

RETURN = r"""
files:
  description: Path in the bundle to SHA-256, for every file of it.
  returned: success
  type: dict
about:
  description: What the builder says of the bundle (bundle.json).
  returned: success
  type: dict
identity:
  description: SHA-256 over what a release is installed from; a release of the same version has the same.
  returned: success
  type: str
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "bundle": {"type": "path", "required": True},
            "key": {"type": "str", "required": True, "no_log": False},
            "version": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    bundle = module.params["bundle"]
    try:
        _, files = check_bundle(bundle, module.params["key"], module.params["version"])
        with open(os.path.join(bundle, "bundle.json"), encoding="utf-8") as content:
            about = json.load(content)
    except (Refused, OSError, ValueError) as error:
        module.fail_json(msg=f"The bundle is refused. {error}")
    of_release = sorted((name, found) for name, found in files.items() if is_release(name))
    identity = hashlib.sha256(repr(of_release).encode()).hexdigest()
    module.exit_json(changed=False, files=files, about=about, identity=identity)


def is_release(name):
    """Whether an installed release consists of this file."""
    return name == "release.tar.gz" or name.startswith("requirements")


if __name__ == "__main__":
    main()
