#!/usr/bin/python
"""Says and changes which release is the current one, by rename(2): there is always one, and only one."""

from __future__ import annotations

import os
import shutil

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: release_current
short_description: Choose the current release of Tellerline
description:
  - Flips /opt/tellerline/current, and keeps what it was as /opt/tellerline/previous.
options:
  root:
    description: Folder of releases/, current and previous.
    type: path
    default: /opt/tellerline
  version:
    description: The release that shall be current; without it, nothing is changed.
    type: str
  prune:
    description: Remove releases that are neither current nor previous.
    type: bool
    default: false
author: Tellerline
"""

EXAMPLES = r"""
- name: Flip
  release_current:
    version: 0.2.0
"""

RETURN = r"""
current:
  description: Version of the current release; empty when there is none.
  returned: success
  type: str
previous:
  description: Version of the one before; empty when there is none.
  returned: success
  type: str
pruned:
  description: Releases that were removed.
  returned: success
  type: list
  elements: str
"""


def version_of(root, name):
    """The version a link names, if it names one that is there."""
    path = os.path.join(root, name)
    return os.path.basename(os.readlink(path)) if os.path.islink(path) and os.path.isdir(path) else ""


def point(root, name, version):
    """Makes the link name `version`, atomically."""
    scratch = os.path.join(root, f".{name}.new")
    if os.path.lexists(scratch):
        os.unlink(scratch)
    os.symlink(os.path.join("releases", version), scratch)
    os.rename(scratch, os.path.join(root, name))


def flip(root, version):
    """Makes `version` current; what was current becomes the previous one."""
    before = version_of(root, "current")
    # In this order: a run that is killed in between still finds where it came from.
    if before and before != version:
        point(root, "previous", before)
    point(root, "current", version)


def superfluous(root, keep):
    """Releases (and their Debian packages) that nothing points to."""
    found = []
    for place in ("releases", "packages"):
        folder = os.path.join(root, place)
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        found += [os.path.join(place, name) for name in names if name not in keep]
    return found


def main():
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/opt/tellerline"},
            "version": {"type": "str"},
            "prune": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    root, version = module.params["root"], module.params["version"]
    current = version_of(root, "current")
    changed = version is not None and version != current
    if changed and not module.check_mode:
        if not os.path.isdir(os.path.join(root, "releases", version)):
            module.fail_json(msg=f"No release {version} is installed below {root}/releases.")
        flip(root, version)
    keep = {version or current, version_of(root, "current"), version_of(root, "previous")}
    pruned = superfluous(root, keep) if module.params["prune"] else []
    if not module.check_mode:
        for name in pruned:
            shutil.rmtree(os.path.join(root, name))
    module.exit_json(
        changed=changed or bool(pruned),
        current=version if changed else current,
        previous=version_of(root, "previous"),
        pruned=pruned,
    )


if __name__ == "__main__":
    main()
